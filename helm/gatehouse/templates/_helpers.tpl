{{- define "gatehouse.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 56 | trimSuffix "-" }}
{{- end }}

{{- /* Room is left for the longest ending, -policy. */ -}}
{{- define "gatehouse.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- if .Values.fullnameOverride }}
{{- $name = .Values.fullnameOverride }}
{{- else if not (contains $name .Release.Name) }}
{{- $name = printf "%s-%s" .Release.Name $name }}
{{- else }}
{{- $name = .Release.Name }}
{{- end }}
{{- $name | trunc 56 | trimSuffix "-" }}
{{- end }}

{{- define "gatehouse.selector" -}}
app.kubernetes.io/name: {{ include "gatehouse.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "gatehouse.labels" -}}
{{ include "gatehouse.selector" . }}
{{ include "gatehouse.origin" . }}
{{- end }}

{{- define "gatehouse.origin" -}}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "gatehouse.testSelector" -}}
app.kubernetes.io/name: {{ include "gatehouse.name" . }}-test
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "gatehouse.serviceAccount" -}}
{{- default (ternary (include "gatehouse.fullname" .) "default" .Values.serviceAccount.create) .Values.serviceAccount.name }}
{{- end }}

{{- define "gatehouse.image" -}}
{{- with .Values.image }}
{{- .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ default $.Chart.AppVersion .tag }}{{ end }}
{{- end }}
{{- end }}

{{- /* What Pod Security's level "restricted" asks for, and a root that is not written to. */ -}}
{{- define "gatehouse.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "gatehouse.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- define "gatehouse.mounts" -}}
- {name: config, mountPath: /etc/gatehouse/config, readOnly: true}
{{- if eq (include "gatehouse.bundleVolume" .) "true" }}
- {name: policy, mountPath: /etc/gatehouse/policy, readOnly: true}
{{- end }}
{{- if .Values.policy.verify.secretName }}
- {name: verify, mountPath: /etc/gatehouse/verify, readOnly: true}
{{- end }}
{{- if .Values.handles.secretName }}
- {name: handles, mountPath: /etc/gatehouse/handles, readOnly: true}
{{- end }}
{{- if .Values.tls.secretName }}
- {name: tls, mountPath: /etc/gatehouse/tls, readOnly: true}
{{- end }}
{{- range $i, $name := .Values.secrets }}
- {name: secret-{{ $i }}, mountPath: {{ printf "/etc/gatehouse/secrets/%s" $name }}, readOnly: true}
{{- end }}
{{- with .Values.volumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "gatehouse.volumes" -}}
- name: config
  configMap: {name: {{ include "gatehouse.fullname" . }}}
{{- if eq (include "gatehouse.bundleVolume" .) "true" }}
- name: policy
  configMap: {name: {{ default (printf "%s-policy" (include "gatehouse.fullname" .)) .Values.policy.configMap.name }}}
{{- end }}
{{- $secrets := dict "verify" .Values.policy.verify.secretName "handles" .Values.handles.secretName "tls" .Values.tls.secretName }}
{{- range $i, $name := .Values.secrets }}
{{- $_ := set $secrets (printf "secret-%d" $i) $name }}
{{- end }}
{{- range $volume, $name := $secrets }}
{{- if $name }}
- name: {{ $volume }}
  secret: {secretName: {{ $name }}, defaultMode: 0440}
{{- end }}
{{- end }}
{{- with .Values.volumes }}
{{ toYaml . }}
{{- end }}
{{- end }}
