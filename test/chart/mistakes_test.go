package chart

import (
	"strings"
	"testing"
)

// A mistake in the values is told by the name of the value, before anything is installed.
func TestMistakes(t *testing.T) {
	config := []string{"--values", examples(t)["one-namespace"]}
	tests := map[string]struct {
		args []string
		want string
	}{
		"no image":              {args: append(config, "--set", "image="), want: "kooperd has no image. Set the value image"},
		"no config":             {want: "kooperd has no config. Set one of these values:"},
		"two configs":           {args: append(config, "--set", "existingConfigMap=a"), want: "only one of the values config, configFiles and existingConfigMap"},
		"unknown value":         {args: append(config, "--set", "replcas=2"), want: "additional properties 'replcas' not allowed"},
		"unknown value below":   {args: append(config, "--set", "metrics.prot=2"), want: "at '/metrics': additional properties 'prot' not allowed"},
		"wrong type":            {args: append(config, "--set", "replicas=two"), want: "at '/replicas': got string, want integer"},
		"wrong word":            {args: append(config, "--set", "leaderElection.onLost=die"), want: "at '/leaderElection/onLost': value must be one of"},
		"duration":              {args: append(config, "--set-string", "leaderElection.leaseDuration=15"), want: "at '/leaderElection/leaseDuration': '15' does not match pattern"},
		"file name":             {args: append(config, "--set", "configFiles.controllers=a"), want: "at '/configFiles': additional properties 'controllers' not allowed"},
		"config without fields": {args: []string{"--set", "config.controler.a=b"}, want: "at '/config': missing properties 'apiVersion', 'controllers'"},
		"rule without verbs":    {args: append(config, "--set", "rbac.rules.cluster[0].resources[0]=pods"), want: "at '/rbac/rules/cluster/0': missing property 'verbs'"},
		"own POD_NAME":          {args: append(config, "--set", "env[0].name=POD_NAME"), want: "at '/env/0/name': 'not' failed"},
		"lease in the config": {
			args: []string{"--set", "config.apiVersion=a,config.controllers.b.c=d,config.leaderElection.name=e"},
			want: "the value config.leaderElection cannot be set",
		},
		"selector label": {
			args: append(config, "--set", `podLabels.app\.kubernetes\.io/name=a`), want: "podLabels cannot set app.kubernetes.io/name: the chart sets it",
		},
		"label of the chart": {
			args: append(config, "--set", `commonLabels.helm\.sh/chart=a`), want: "commonLabels cannot set helm.sh/chart: the chart sets it",
		},
		"annotation of the chart": {
			args: append(config, "--set", `podAnnotations.kooperd\.dev/chart=a`), want: "podAnnotations cannot set kooperd.dev/chart: the chart sets it",
		},
		"one port for two":    {args: append(config, "--set", "metrics.port=8081"), want: "metrics.port and healthPort are both 8081"},
		"open profiles":       {args: append(config, "--set", "profiling=true"), want: "it needs metrics.enabled and metrics.authenticate"},
		"two without a lease": {args: append(config, "--set", "leaderElection.enabled=false"), want: "replicas is 2 and leaderElection.enabled is false"},
		"flow of no lease":    {args: append(config, "--set", "flowSchema.enabled=true,leaderElection.lock=configMap"), want: "flowSchema.enabled needs a lease"},
		"fence of no lease":   {args: append(config, "--set", "fence.enabled=true,leaderElection.lock=configMap"), want: "fence.enabled needs a lease"},
		"fence of the default account": {
			args: append(config, "--set", "fence.enabled=true,serviceAccount.create=false"),
			want: "fence.enabled needs a service account that belongs to kooperd alone",
		},
		"fence of every replica": {
			args: []string{"--set", "image=a,fence.enabled=true,config.apiVersion=a,config.controllers.b.leaderElection=disabled"},
			want: "fence.enabled would refuse what config.controllers.b writes",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			forEachHelm(t, func(t *testing.T, version string) {
				out, err := tryHelm(t, version, append([]string{"template", "demo", chartDir}, tc.args...)...)
				if err == nil || !strings.Contains(out, tc.want) {
					t.Errorf("helm says, with error %v:\n%s\nwant %q", err, out, tc.want)
				}
			})
		})
	}
}
