{{- /* What keeps the pods from working at once: their lease, or, without one, the Deployment that replaces its only pod. */ -}}
{{- define "kooperd.worksUnder" -}}
{{- if .Values.leaderElection.enabled -}}
{{ .Values.leaderElection.lock | default "lease" }} {{ include "kooperd.leaseNamespace" . }}/{{ include "kooperd.leaseName" . }}
{{- else -}}
deployment {{ .Release.Namespace }}/{{ include "kooperd.fullname" . }}
{{- end -}}
{{- end -}}

{{- /* What runs of this release now, as JSON: its pods, those among them that are about to end, and its Deployments that want
pods. Names do not tell, as they come from values that may change. Helm sees none of it where it only renders. The annotation
tells a chart from another one of the same release. */ -}}
{{- define "kooperd.running" -}}
{{- $all := list -}}
{{- range dig "items" list (lookup "v1" "Pod" .Release.Namespace "") -}}
{{- if not (has (dig "status" "phase" "" .) (list "Succeeded" "Failed")) -}}
{{- $all = append $all (dict "what" (printf "pod %s" .metadata.name) "pod" .) -}}
{{- end -}}
{{- end -}}
{{- range dig "items" list (lookup "apps/v1" "Deployment" .Release.Namespace "") -}}
{{- if gt (int .spec.replicas) 0 -}}
{{- $all = append $all (dict "what" (printf "deployment %s" .metadata.name) "pod" .spec.template) -}}
{{- end -}}
{{- end -}}
{{- $found := list -}}
{{- range $all -}}
{{- $labels := dig "metadata" "labels" dict .pod -}}
{{- $annotations := dig "metadata" "annotations" dict .pod -}}
{{- if and (eq (dig "app.kubernetes.io/instance" "" $labels) $.Release.Name) (eq (dig "kooperd.dev/chart" "" $annotations) $.Chart.Name) -}}
{{- $configMaps := list -}}
{{- range .pod.spec.volumes }}{{ $configMaps = append $configMaps (dig "configMap" "name" "" .) }}{{ end -}}
{{- $followed := list -}}
{{- $prefix := printf "--config=configmap:%s/" $.Release.Namespace -}}
{{- range .pod.spec.containers -}}
{{- range .args -}}
{{- if hasPrefix $prefix . }}{{ $followed = append $followed (trimPrefix $prefix .) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- $configMaps = concat $configMaps $followed -}}
{{- $found = append $found (dict "what" .what "worksUnder" (index $annotations "kooperd.dev/works-under") "configMaps" $configMaps "followed" $followed) -}}
{{- end -}}
{{- end -}}
{{- dict "items" $found | toJson -}}
{{- end -}}

{{- /* Pods that do not work under the same know nothing of each other, and an upgrade would have both at once. A pod that leads
goes on for shutdownDelaySeconds after it was told to stop, so the Deployment's own status is no answer. */ -}}
{{- define "kooperd.checkRunning" -}}
{{- $after := include "kooperd.worksUnder" . -}}
{{- range (include "kooperd.running" . | fromJson).items -}}
{{- if ne .worksUnder $after -}}
{{- fail (printf "\n\nthe %s works under %q, and new pods would work at the same time under %q. First upgrade with replicas=0 and nothing else changed, and wait until the pods are gone:\n  kubectl --namespace %s wait --for=delete pod --selector %s --timeout=5m\n" .what .worksUnder $after $.Release.Namespace (include "kooperd.releasePods" $)) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* Selects the pods of the release, whatever its names are. */ -}}
{{- define "kooperd.releasePods" -}}
app.kubernetes.io/instance={{ .Release.Name }},app.kubernetes.io/component=daemon
{{- end -}}
