{{- /* A ConfigMap of the chart, of a dict of root, part, name, data and changes. Nothing of it changes unless changes is true, or
a container of the former version that is restarted during an upgrade would start with what is not meant for it. */ -}}
{{- define "kooperd.configMap" -}}
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .name | quote }}
  namespace: {{ .root.Release.Namespace | quote }}
  labels:
    {{- include "kooperd.labels" .root | nindent 4 }}
    kooperd.dev/part: {{ .part }}
{{- if not .changes }}
immutable: true
{{- end }}
data:
  {{- .data | nindent 2 }}
{{- end -}}
