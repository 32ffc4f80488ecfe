{{- /* Whether the bundle is in a ConfigMap, and whether it is the starter policies. */ -}}
{{- define "gatehouse.bundleVolume" -}}
{{- and .Values.policy.enabled (not .Values.policy.bundleUrl) }}
{{- end }}

{{- define "gatehouse.starter" -}}
{{- and .Values.policy.enabled (not .Values.policy.bundleUrl) (not .Values.policy.configMap.name) }}
{{- end }}

{{- /* gatehouse.yaml. What it cannot be is refused here, and not by a pod that does not start. */ -}}
{{- define "gatehouse.config" -}}
{{- include "gatehouse.refuse" . }}
{{- $policy := omit .Values.policy "enabled" "bundleUrl" "configMap" "starter" "verify" }}
{{- if not .Values.policy.enabled }}
{{- $policy = dict "mode" "off" }}
{{- else if .Values.policy.bundleUrl }}
{{- $_ := set $policy "bundle" .Values.policy.bundleUrl }}
{{- else }}
{{- $_ := set $policy "bundle" (printf "/etc/gatehouse/policy/%s" .Values.policy.configMap.file) }}
{{- end }}
{{- with .Values.policy.verify }}
{{- if and $.Values.policy.enabled .secretName }}
{{- $key := printf "/etc/gatehouse/verify/%s" .key }}
{{- $_ := set $policy "verify" (dict "key" $key "algorithm" .algorithm "keyId" .keyId "scope" .scope) }}
{{- end }}
{{- end }}
{{- $config := merge (dict "listen" ":8080" "admin" ":8081" "mcpServers" .Values.mcpServers "identity" .Values.identity "policy" $policy) .Values.config }}
{{- with .Values.handles }}
{{- if .secretName }}
{{- $_ := set $config "handles" (dict "keyFile" (printf "/etc/gatehouse/handles/%s" .key)) }}
{{- end }}
{{- end }}
{{- with .Values.tls }}
{{- if .secretName }}
{{- $tls := dict "certificate" "/etc/gatehouse/tls/tls.crt" "key" "/etc/gatehouse/tls/tls.key" "minVersion" .minVersion }}
{{- if .clientCA }}
{{- $_ := set $tls "clientCA" (printf "/etc/gatehouse/tls/%s" .clientCA) }}
{{- end }}
{{- $_ := set $config "tls" $tls }}
{{- end }}
{{- end }}
{{- include "gatehouse.refuseUnset" (list $config .Values.env) }}
{{- toYaml $config }}
{{- end }}

{{- define "gatehouse.refuse" -}}
{{- $p := .Values.policy }}
{{- if not .Values.mcpServers }}
{{- fail "mcpServers is empty: name at least one MCP server" }}
{{- else if not .Values.identity }}
{{- fail "identity is empty: say who may call (jwt, introspection, apiKeys, apiKeysFile, certificates, trustedProxies or anonymous)" }}
{{- else if and (or .Values.autoscaling.enabled (gt (int .Values.replicas) 1)) (not .Values.handles.secretName) }}
{{- fail "handles.secretName is empty: replicas that do not share it do not know each other's sessions" }}
{{- else if and $p.bundleUrl $p.configMap.name }}
{{- fail "policy.bundleUrl and policy.configMap.name are both given: a gateway has one bundle" }}
{{- else if and (or $p.bundleUrl $p.configMap.name) (or $p.starter.data $p.starter.files) }}
{{- fail "policy.starter is given, and so is another bundle than the starter policies" }}
{{- else if and $p.configMap.file (not $p.configMap.name) }}
{{- fail "policy.configMap.file is given without policy.configMap.name" }}
{{- else if and (not $p.bundleUrl) (not $p.configMap.file) (or $p.verify.secretName $p.sha256 $p.persist) }}
{{- fail "policy.verify, sha256 and persist need a .tar.gz: policy.bundleUrl, or policy.configMap with file" }}
{{- else if and .Values.serviceMonitor.enabled .Values.networkPolicy.enabled (not .Values.networkPolicy.adminFrom) }}
{{- fail "serviceMonitor is enabled, and networkPolicy.adminFrom lets no Prometheus in" }}
{{- end }}
{{- range $name, $_ := $p.starter.files }}
{{- if $.Files.Get (printf "policies/%s" $name) }}
{{- fail (printf "policy.starter.files.%s is a file of the starter policies: add rules under another name" $name) }}
{{- end }}
{{- end }}
{{- end }}

{{- /* The gateway does not start if ${NAME} is not set. */ -}}
{{- define "gatehouse.refuseUnset" -}}
{{- $set := dict }}
{{- range index . 1 }}
{{- $_ := set $set .name true }}
{{- end }}
{{- $text := regexReplaceAll "\\$\\$\\{" (toYaml (index . 0)) "" }}
{{- range regexFindAll "\\$\\{[A-Za-z_][A-Za-z0-9_]*\\}" $text -1 }}
{{- $name := . | trimPrefix "${" | trimSuffix "}" }}
{{- if not (hasKey $set $name) }}
{{- fail (printf "${%s} is not set: env has no variable of that name" $name) }}
{{- end }}
{{- end }}
{{- end }}
