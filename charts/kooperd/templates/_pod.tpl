{{- define "kooperd.podSpec" -}}
serviceAccountName: {{ include "kooperd.serviceAccountName" . | quote }}
automountServiceAccountToken: true
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- toYaml .Values.podSecurityContext | nindent 2 }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- end -}}

{{- /* Everything of the container that does not depend on what it runs. With mountsConfig beside the values it has the config as
files. */ -}}
{{- define "kooperd.container" -}}
image: {{ .Values.image | quote }}
{{- with .Values.imagePullPolicy }}
imagePullPolicy: {{ . }}
{{- end }}
securityContext:
  {{- toYaml .Values.securityContext | nindent 2 }}
resources:
  {{- toYaml .Values.resources | nindent 2 }}
env:
{{- include "kooperd.env" . | nindent 0 }}
{{- with .Values.envFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
volumeMounts:
{{- if .mountsConfig }}
- {name: config, mountPath: /etc/kooperd/config, readOnly: true}
{{- end }}
- {name: leader-election, mountPath: /etc/kooperd/leader-election, readOnly: true}
{{- if .Values.metrics.tlsSecret }}
- {name: metrics-tls, mountPath: /etc/kooperd/metrics-tls, readOnly: true}
{{- end }}
{{- with .Values.volumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- /* Who the pod is, for its identity in the lease. */ -}}
{{- define "kooperd.env" -}}
- name: POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- name: POD_UID
  valueFrom: {fieldRef: {fieldPath: metadata.uid}}
- name: POD_NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
{{- with .Values.env }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "kooperd.volumes" -}}
- name: leader-election
  configMap: {name: {{ include "kooperd.leaderElectionName" . | quote }}}
{{- if .mountsConfig }}
- name: config
  configMap: {name: {{ include "kooperd.configMapName" . | quote }}}
{{- end }}
{{- with .Values.metrics.tlsSecret }}
- name: metrics-tls
  secret: {secretName: {{ . | quote }}}
{{- end }}
{{- with .Values.volumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "kooperd.args" -}}
{{- if .Values.reload -}}
- --config={{ include "kooperd.configSource" . }}
{{- else -}}
- --config=/etc/kooperd/config
- --reload=false
{{- end }}
- --config=/etc/kooperd/leader-election/leader-election.yaml
- --health-probe-bind-address=:{{ .Values.healthPort }}
- --metrics-bind-address={{ if .Values.metrics.enabled }}:{{ .Values.metrics.port }}{{ else }}0{{ end }}
{{- if .Values.metrics.authenticate }}
- --authenticate
{{- end }}
{{- if .Values.metrics.tlsSecret }}
- --tls-cert-file=/etc/kooperd/metrics-tls/tls.crt
- --tls-private-key-file=/etc/kooperd/metrics-tls/tls.key
{{- end }}
{{- if .Values.profiling }}
- --profiling
{{- end }}
- --shutdown-delay-duration={{ .Values.shutdownDelaySeconds }}s
- --shutdown-timeout={{ .Values.shutdownTimeoutSeconds }}s
- --log-format={{ .Values.log.format }}
- --v={{ .Values.log.verbosity }}
{{- with .Values.extraArgs }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "kooperd.affinity" -}}
{{- $affinity := deepCopy .Values.affinity -}}
{{- $labels := include "kooperd.selectorLabels" . | fromYaml -}}
{{- $term := dict "labelSelector" (dict "matchLabels" $labels) "matchLabelKeys" (list "pod-template-hash") "topologyKey" "kubernetes.io/hostname" -}}
{{- if not (hasKey $affinity "podAntiAffinity") -}}
{{- if eq .Values.podAntiAffinity "required" -}}
{{- $_ := set $affinity "podAntiAffinity" (dict "requiredDuringSchedulingIgnoredDuringExecution" (list $term)) -}}
{{- else if eq .Values.podAntiAffinity "preferred" -}}
{{- $_ := set $affinity "podAntiAffinity" (dict "preferredDuringSchedulingIgnoredDuringExecution" (list (dict "weight" 100 "podAffinityTerm" $term))) -}}
{{- end -}}
{{- end -}}
{{- with $affinity }}{{ toYaml . }}{{ end -}}
{{- end -}}

{{- define "kooperd.topologySpread" -}}
{{- $labels := include "kooperd.selectorLabels" . | fromYaml -}}
{{- $own := dict "labelSelector" (dict "matchLabels" $labels) "matchLabelKeys" (list "pod-template-hash") -}}
{{- range .Values.topologySpreadConstraints }}
{{ list (ternary . (merge (deepCopy .) $own) (hasKey . "labelSelector")) | toYaml }}
{{- end -}}
{{- end -}}
