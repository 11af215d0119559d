{{/*
Settings as environment variables, and secrets as files that such variables name.
*/}}

{{/* One value as programs read it: lists and tables as JSON, all else as it is written. */}}
{{- define "fengling.value" -}}
{{- if kindIs "string" . -}}{{ . }}{{- else -}}{{ toJson . }}{{- end -}}
{{- end -}}

{{/*
Variables of settings, as a table in JSON. Takes (list defaults settings): both have sections with
keys, or keys of no section; what is in settings counts.
*/}}
{{- define "fengling.variables" -}}
{{- $found := dict -}}
{{- range $settings := . -}}
{{- range $name, $section := $settings -}}
{{- if kindIs "map" $section -}}
{{- range $key, $value := $section -}}
{{- $_ := set $found (printf "FENGLING_%s__%s" (upper $name) (upper $key)) (include "fengling.value" $value) -}}
{{- end -}}
{{- else -}}
{{- $_ := set $found (printf "FENGLING_%s" (upper $name)) (include "fengling.value" $section) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson $found -}}
{{- end -}}

{{/* The entries of `env` for them. */}}
{{- define "fengling.env" -}}
{{- range $name, $value := include "fengling.variables" . | fromJson }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end -}}
{{- end -}}

{{/*
The secrets of a component, as a list in JSON: of which Secret, its key, the file, the variable that
names the file. Takes (list $ component).
*/}}
{{- define "fengling.secrets" -}}
{{- $secrets := (index . 0).Values.secrets -}}
{{- $found := list -}}
{{- $wanted := list -}}
{{- if eq (index . 1) "migration" -}}
{{- $wanted = list (list $secrets.ownerDatabase "database-url" "FENGLING_DATABASE__URL_FILE") -}}
{{- else -}}
{{- $database := ternary $secrets.gatewayDatabase $secrets.consoleDatabase (eq (index . 1) "gateway") -}}
{{- $wanted = list
  (list $database "database-url" "FENGLING_DATABASE__URL_FILE")
  (list $secrets.tokenKeys "token-keys" "FENGLING_MANAGEMENT__TOKEN_KEYS_FILE")
  (list $secrets.secretKeys "secret-keys" "FENGLING_SECRETS__KEY_FILE")
  (list $secrets.redis "redis-url" "FENGLING_REDIS__URL_FILE") -}}
{{- if $database.listenKey -}}
{{- $wanted = append $wanted (list (dict "name" $database.name "key" $database.listenKey) "listen-url" "FENGLING_DATABASE__LISTEN_URL_FILE") -}}
{{- end -}}
{{- if $secrets.redis.name -}}
{{- $_ := required "secrets.syncKeys.name is required with secrets.redis.name: messages on Redis are signed" $secrets.syncKeys.name -}}
{{- $wanted = append $wanted (list $secrets.syncKeys "sync-keys" "FENGLING_SYNC__KEYS_FILE") -}}
{{- end -}}
{{- if eq (index . 1) "gateway" -}}
{{- $wanted = append $wanted (list $secrets.tracingHeaders "tracing-headers" "FENGLING_TRACING__HEADERS_FILE") -}}
{{- else -}}
{{- $wanted = append $wanted (list $secrets.oidcClientSecret "oidc-client-secret" "FENGLING_OIDC__CLIENT_SECRET_FILE") -}}
{{- end -}}
{{- end -}}
{{- range $wanted -}}
{{- with index . 0 -}}
{{- if .name -}}{{- $found = append $found (dict "secret" .name "key" .key) -}}{{- else -}}{{- $found = append $found dict -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- $result := list -}}
{{- range $index, $one := $found -}}
{{- if $one.secret -}}
{{- $names := index $wanted $index -}}
{{- $result = append $result (merge (dict "file" (index $names 1) "variable" (index $names 2)) $one) -}}
{{- end -}}
{{- end -}}
{{- toJson $result -}}
{{- end -}}

{{- define "fengling.secretEnv" -}}
{{- range include "fengling.secrets" . | fromJsonArray }}
- name: {{ .variable }}
  value: /etc/fengling/secrets/{{ .file }}
{{- end -}}
{{- end -}}

{{/* Nobody but the group of the pod reads them: the program refuses keys that others may read. */}}
{{- define "fengling.secretVolume" -}}
- name: secrets
  projected:
    defaultMode: 288   # 0440
    sources:
      {{- range include "fengling.secrets" . | fromJsonArray }}
      - secret:
          name: {{ .secret }}
          items:
            - key: {{ .key }}
              path: {{ .file }}
      {{- end }}
{{- end -}}

{{- define "fengling.secretMount" -}}
- name: secrets
  mountPath: /etc/fengling/secrets
  readOnly: true
{{- end -}}
