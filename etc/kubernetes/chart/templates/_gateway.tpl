{{/* A gateway's settings and pod, which a Deployment and a StatefulSet share. */}}

{{/* `listeners` of its settings, as JSON: in the order of their names. */}}
{{- define "fengling.gateway.listeners" -}}
{{- $listeners := list -}}
{{- range $name, $one := .Values.gateway.listeners -}}
{{- if $one -}}
{{- $listener := dict "name" $name "address" (printf "%s:%d" $.Values.gateway.bindAddress (int $one.port)) -}}
{{- if hasKey $one "tls" -}}
{{- $certificates := list -}}
{{- range $one.tls.secretNames -}}
{{- $certificates = append $certificates (dict "chain" (printf "/etc/fengling/tls/%s/tls.crt" .) "key" (printf "/etc/fengling/tls/%s/tls.key" .)) -}}
{{- end -}}
{{- $_ := set $listener "tls" (merge (dict "certificates" $certificates) ($one.tls.settings | default dict)) -}}
{{- end -}}
{{- $listeners = append $listeners (merge $listener ($one.settings | default dict)) -}}
{{- end -}}
{{- end -}}
{{- toJson $listeners -}}
{{- end -}}

{{/* Names of the Secrets with certificates, as JSON. */}}
{{- define "fengling.gateway.certificates" -}}
{{- $names := list -}}
{{- range $name, $one := .Values.gateway.listeners -}}
{{- if and $one (hasKey $one "tls") -}}
{{- $names = concat $names ($one.tls.secretNames | default list) -}}
{{- end -}}
{{- end -}}
{{- $names | uniq | sortAlpha | toJson -}}
{{- end -}}

{{/* What the chart decides; all else is gateway.settings. */}}
{{- define "fengling.gateway.settings" -}}
{{- $own := .Values.gateway.settings -}}
{{- if hasKey $own "listeners" -}}
{{- fail "gateway.settings.listeners: listeners are gateway.listeners, which their Service is made of" -}}
{{- end -}}
{{- if hasKey ($own.drain | default dict) "deadline" -}}
{{- fail "gateway.settings.drain.deadline: it is gateway.termination.drainSeconds, which the pod's grace period is made of" -}}
{{- end -}}
{{- range list (list "management" "address" "managementPort") -}}
{{- if hasKey (index $own (index . 0) | default dict) (index . 1) -}}
{{- fail (printf "gateway.settings.%s.%s: it is made of gateway.bindAddress and gateway.%s" (index . 0) (index . 1) (index . 2)) -}}
{{- end -}}
{{- end -}}
cluster: {{ .Values.cluster | quote }}
runtime_dir: /run/fengling
state_dir: /var/lib/fengling
workers: {{ .Values.gateway.workers | toString | quote }}
listeners: {{ include "fengling.gateway.listeners" . | quote }}
management: {address: "{{ .Values.gateway.bindAddress }}:{{ int .Values.gateway.managementPort }}"}
drain: {deadline: "{{ int .Values.gateway.termination.drainSeconds }}s"}
log: {format: json}
{{- end -}}

{{/* The pod's template. */}}
{{- define "fengling.gateway.pod" -}}
{{- $gateway := .Values.gateway -}}
{{- $termination := $gateway.termination -}}
{{- $component := list . "gateway" -}}
{{- $certificates := include "fengling.gateway.certificates" . | fromJsonArray -}}
metadata:
  labels:
    {{- include "fengling.podLabels" $component | nindent 4 }}
    {{- with $gateway.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with $gateway.podAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  serviceAccountName: {{ include "fengling.fullname" . }}-gateway
  # It asks the API server for nothing.
  automountServiceAccountToken: false
  {{- include "fengling.podSecurity" . | nindent 2 }}
  terminationGracePeriodSeconds: {{ add $termination.announceSeconds $termination.drainSeconds $termination.marginSeconds }}
  {{- include "fengling.placement" (list . "gateway" $gateway (ternary "controller-revision-hash" "pod-template-hash" $gateway.state.persistent)) | nindent 2 }}
  containers:
    - name: gateway
      {{- include "fengling.containerSecurity" . | nindent 6 }}
      command: [fengling-gateway]
      env:
        - name: FENGLING_NODE
          valueFrom: {fieldRef: {fieldPath: metadata.name}}
        {{- include "fengling.env" (list (include "fengling.gateway.settings" . | fromYaml) $gateway.settings) | trim | nindent 8 }}
        {{- include "fengling.secretEnv" $component | trim | nindent 8 }}
        {{- with $gateway.extraEnv }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      ports:
        {{- range $name, $one := $gateway.listeners }}
        {{- if $one }}
        - {name: {{ $name }}, containerPort: {{ $one.port }}}
        {{- end }}
        {{- end }}
        - {name: management, containerPort: {{ $gateway.managementPort }}}
      {{- include "fengling.probes" (list "management") | nindent 6 }}
      {{- if $termination.announceSeconds }}
      lifecycle:
        # Balancers take it out of their lists now, while it serves on; TERM comes then.
        preStop: {sleep: {seconds: {{ $termination.announceSeconds }}}}
      {{- end }}
      resources:
        {{- toYaml $gateway.resources | nindent 8 }}
      volumeMounts:
        - {name: runtime, mountPath: /run/fengling}
        - {name: state, mountPath: /var/lib/fengling}
        {{- include "fengling.secretMount" . | nindent 8 }}
        {{- range $certificates }}
        - {name: tls-{{ . }}, mountPath: /etc/fengling/tls/{{ . }}, readOnly: true}
        {{- end }}
        {{- with $gateway.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  volumes:
    # Sockets and locks; with the pod it is gone.
    - name: runtime
      emptyDir: {medium: Memory, sizeLimit: 16Mi}
    {{- if not $gateway.state.persistent }}
    - name: state
      emptyDir: {sizeLimit: {{ $gateway.state.sizeLimit }}}
    {{- end }}
    {{- include "fengling.secretVolume" $component | nindent 4 }}
    {{- range $certificates }}
    - name: tls-{{ . }}
      secret: {secretName: {{ . }}, defaultMode: 288}
    {{- end }}
    {{- with $gateway.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}
