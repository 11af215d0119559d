{{/* What the chart decides of a console's settings; all else is console.settings. */}}
{{- define "fengling.console.settings" -}}
{{- if hasKey (.Values.console.settings.http | default dict) "address" -}}
{{- fail "console.settings.http.address: it is made of console.bindAddress and console.port" -}}
{{- end -}}
cluster: {{ .Values.cluster | quote }}
log: {format: json}
http:
  address: "{{ .Values.console.bindAddress }}:{{ int .Values.console.port }}"
  {{- range $name, $one := .Values.gateway.listeners }}
  {{- if and (eq $name "http") $one }}
  {{- if not (hasKey $one "tls") }}
  gateway_url: http://{{ include "fengling.fullname" $ }}-gateway.{{ $.Release.Namespace }}:{{ $one.servicePort }}
  {{- end }}
  {{- end }}
  {{- end }}
{{- with .Values.discovery }}
{{- if .enabled }}
kubernetes:
  enabled: true
  selector: {{ .selector | quote }}
  namespaces: {{ toJson .namespaces | quote }}
  approve: {{ toJson .approve | quote }}
  {{- with .hosts }}
  hosts: {{ toJson . | quote }}
  {{- end }}
  {{- with .tenants }}
  tenants: {{ toJson . | quote }}
  {{- end }}
  {{- if not (kindIs "invalid" .maxPriority) }}
  max_priority: {{ int64 .maxPriority }}
  {{- end }}
  {{- if .gatewayApi.enabled }}
  gateway_api: true
  controller: {{ .gatewayApi.controller | quote }}
  {{- with .gatewayApi.namespaces }}
  gateway_namespaces: {{ toJson . | quote }}
  {{- end }}
  {{- with .gatewayApi.priority }}
  gateway_api_priority: {{ int64 . }}
  {{- end }}
  {{- $listeners := list }}
  {{- range $name, $one := $.Values.gateway.listeners }}
  {{- if $one }}{{ $listeners = append $listeners (printf "%d=%s" (int $one.servicePort) $name) }}{{ end }}
  {{- end }}
  listeners: {{ toJson $listeners | quote }}
  addresses: {{ toJson .gatewayApi.addresses | quote }}
  {{- end }}
{{- end }}
{{- end }}
{{- end -}}
