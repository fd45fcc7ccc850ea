{{- /* Refuses values that cannot work, naming them. What one value alone can be is in values.schema.json. */ -}}
{{- define "kooperd.check" -}}
{{- include "kooperd.checkConfig" . -}}
{{- include "kooperd.checkElection" . -}}
{{- include "kooperd.checkFence" . -}}
{{- if and .Values.profiling (not (and .Values.metrics.enabled .Values.metrics.authenticate)) -}}
{{- fail "\n\nprofiling gives the memory of the process away: it needs metrics.enabled and metrics.authenticate\n" -}}
{{- end -}}
{{- if .Values.leaderElection.enabled -}}
{{- include "kooperd.checkSameLease" . -}}
{{- end -}}
{{- end -}}

{{- define "kooperd.checkConfig" -}}
{{- $given := 0 -}}
{{- range list .Values.config .Values.configFiles .Values.existingConfigMap -}}
{{- if . }}{{ $given = add1 $given }}{{ end -}}
{{- end -}}
{{- if eq (int $given) 0 -}}
{{- fail "\n\nkooperd has no config. Set one of these values:\n  config             the config itself, as YAML\n  configFiles        its files: --set-file 'configFiles.controllers\\.cue=controllers.cue'\n  existingConfigMap  the name of a ConfigMap with its files\n" -}}
{{- else if gt (int $given) 1 -}}
{{- fail "\n\nonly one of the values config, configFiles and existingConfigMap can be set\n" -}}
{{- end -}}
{{- if hasKey .Values.config "leaderElection" -}}
{{- fail "\n\nthe value config.leaderElection cannot be set: the lease is that of the values leaderElection.*, for which the chart grants the rights\n" -}}
{{- end -}}
{{- end -}}

{{- define "kooperd.checkElection" -}}
{{- $lease := ne .Values.leaderElection.lock "configMap" -}}
{{- if and (not .Values.leaderElection.enabled) (gt (int .Values.replicas) 1) -}}
{{- fail (printf "\n\nreplicas is %d and leaderElection.enabled is false: all of them would work at once; set replicas to 1\n" (int .Values.replicas)) -}}
{{- end -}}
{{- if and .Values.flowSchema.enabled (not (and .Values.leaderElection.enabled $lease)) -}}
{{- fail "\n\nflowSchema.enabled needs a lease: leaderElection.enabled, and leaderElection.lock other than configMap\n" -}}
{{- end -}}
{{- end -}}

{{- define "kooperd.checkFence" -}}
{{- if .Values.fence.enabled -}}
{{- if or (not .Values.leaderElection.enabled) (eq .Values.leaderElection.lock "configMap") -}}
{{- fail "\n\nfence.enabled needs a lease: leaderElection.enabled, and leaderElection.lock other than configMap\n" -}}
{{- end -}}
{{- if eq (include "kooperd.serviceAccountName" .) "default" -}}
{{- fail "\n\nfence.enabled needs a service account that belongs to kooperd alone: set serviceAccount.create or serviceAccount.name\n" -}}
{{- end -}}
{{- range $name, $controller := dig "controllers" dict .Values.config -}}
{{- if eq (dig "leaderElection" "" $controller) "disabled" -}}
{{- fail (printf "\n\nfence.enabled would refuse what config.controllers.%s writes, because its leaderElection is \"disabled\" and it runs on every replica: give it a release of its own\n" $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* Pods of two leases know nothing of each other, and a rolling update would have both at once. Helm sees what is
installed, unless it only renders. */ -}}
{{- define "kooperd.checkSameLease" -}}
{{- $name := include "kooperd.fullname" . -}}
{{- $running := lookup "apps/v1" "Deployment" .Release.Namespace $name -}}
{{- $installed := lookup "v1" "ConfigMap" .Release.Namespace (printf "%s-leader-election" $name) -}}
{{- $before := dig "data" "leader-election.yaml" "" $installed | fromYaml -}}
{{- $after := include "kooperd.leaderElectionFile" . | fromYaml -}}
{{- if and $before (gt (int (dig "status" "replicas" 0 $running)) 0) (not (kindIs "string" $before.leaderElection)) -}}
{{- range $key, $unset := dict "name" "" "namespace" "" "lock" "lease" -}}
{{- $old := dig $key $unset $before.leaderElection -}}
{{- $new := dig $key $unset $after.leaderElection -}}
{{- if ne $old $new -}}
{{- fail (printf "\n\nleaderElection.%s would change from %q to %q while pods run, and the old ones and the new ones would lead at once: upgrade with replicas=0 first\n" $key $old $new) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
