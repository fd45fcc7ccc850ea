package chart

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// aDefinition is a config as values that are set.
const aDefinition = "config.apiVersion=kooperd.dev/v1alpha1,config.controllers.b.watch.apiVersion=v1,config.controllers.b.watch.kind=Pod," +
	"config.controllers.b.handler.log.message=m"

// onEveryReplica is a config with a definition that runs on every replica.
func onEveryReplica(more string) string {
	return `{"apiVersion": "kooperd.dev/v1alpha1", "controllers": {"b": {"watch": {"apiVersion": "v1", "kind": "Pod"}, "leaderElection": "disabled", ` +
		more + `}}}`
}

// A mistake in the values is reported by the name of the value, before anything is installed.
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
			args: []string{"--set", aDefinition + ",config.leaderElection.name=e"},
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
		"a reload beside the chart's": {
			args: append(config, "--set", "extraArgs={--reload}"), want: "extraArgs cannot set --reload: set the value reload",
		},
		"a lock in the config": {
			args: append(config, "--set", "reload=true,leaderElection.lock=configMap,leaderElection.name=demo-kooperd-config"),
			want: "the lock would be the ConfigMap demo-kooperd-config, in which reload keeps the config",
		},
		"one port for two":    {args: append(config, "--set", "metrics.port=8081"), want: "metrics.port and healthPort are both 8081"},
		"open profiles":       {args: append(config, "--set", "profiling=true"), want: "it needs metrics.enabled and metrics.authenticate"},
		"two without a lease": {args: append(config, "--set", "leaderElection.enabled=false"), want: "replicas is 2 and leaderElection.enabled is false"},
		"lease of composers": {
			args: append(config, "--set", "rbac.composers=true,leaderElection.name="+strings.Repeat("n", 242)),
			want: "leaderElection.name has 242 characters: with rbac.composers it can have 241",
		},
		"flow of no lease":  {args: append(config, "--set", "flowSchema.enabled=true,leaderElection.lock=configMap"), want: "flowSchema.enabled needs a lease"},
		"fence of no lease": {args: append(config, "--set", "fence.enabled=true,leaderElection.lock=configMap"), want: "fence.enabled needs a lease"},
		"fence of the default account": {
			args: append(config, "--set", "fence.enabled=true,serviceAccount.create=false"),
			want: "fence.enabled needs a service account that belongs to kooperd alone",
		},
		"fence of every replica in a file": {
			args: []string{"--set", "image=a,fence.enabled=true", "--set-json", `configFiles={"c.yaml": "controllers: {b: {leaderElection: disabled}}", "d.cue": "x: 1"}`},
			want: `fence.enabled would refuse what b of configFiles "c.yaml" writes`,
		},
		"fence of every replica": {
			args: []string{"--set", "image=a,fence.enabled=true", "--set-json", "config=" + onEveryReplica(`"handler": {"exec": {"command": ["a"]}}`)},
			want: "fence.enabled would refuse what config.controllers.b writes",
		},
		"fence of a finalizer on every replica": {
			args: []string{
				"--set", "image=a,fence.enabled=true", "--set-json",
				"config=" + onEveryReplica(`"finalizer": "example.com/a", "handler": {"log": {}}`),
			},
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

// Helm reads YAML 1.1, where on, no and off are true and false, and 1.20 is a number. A config that
// stands in the values is refused where that has changed it, by every command of Helm, and accepted
// with quotes.
func TestWordsOfYAML11(t *testing.T) {
	const begin, end = "image: a\nconfig:\n  apiVersion: kooperd.dev/v1alpha1\n  controllers:\n", "\n"
	const watch, handler = "watch: {apiVersion: v1, kind: Pod}", "handler: {log: {}}"
	const notTrue, notFalse = "value must be 'behind a key in quotes: Helm reads on, yes and y as true'",
		"value must be 'behind a key in quotes: Helm reads off, no and n as false'"
	tests := map[string]struct {
		controllers string
		want        []string // nothing: it is accepted
		byTemplates bool     // which helm lint does not ask
	}{
		"values": {
			controllers: "    a: {watch: {apiVersion: v1, kind: Pod, namespaces: [on, no]}, resync: off, " + handler + "}",
			want: []string{
				"at '/config/controllers/a/watch/namespaces/0': got boolean, want string",
				"at '/config/controllers/a/watch/namespaces/1': got boolean, want string",
				"at '/config/controllers/a/resync': got boolean, want string",
			},
		},
		"a number": {
			controllers: "    a: {watch: {apiVersion: v1, kind: Pod, labelSelector: {matchLabels: {version: 1.20}}}, " + handler + "}",
			want:        []string{"at '/config/controllers/a/watch/labelSelector/matchLabels/version': got number, want string"},
		},
		"values of a plugin": {
			controllers: "    a: {" + watch + ", handler: {exec: {command: [x], env: {DEBUG: yes}}}}",
			want:        []string{"at '/config/controllers/a/handler/exec/env/DEBUG': got boolean, want string"},
		},
		"the name of a definition":         {controllers: "    on: {" + watch + ", " + handler + "}", want: []string{"at '/config/controllers/true': " + notTrue}},
		"another name":                     {controllers: "    off: {" + watch + ", " + handler + "}", want: []string{"at '/config/controllers/false': " + notFalse}},
		"the name of a field":              {controllers: "    a: {no: 1, " + watch + ", " + handler + "}", want: []string{"at '/config/controllers/a': additional properties 'false' not allowed"}},
		"a label":                          {controllers: "    a: {watch: {apiVersion: v1, kind: Pod, labelSelector: {matchLabels: {on: a}}}, " + handler + "}", want: []string{"matchLabels/true': " + notTrue}},
		"a key of a plugin of one's build": {controllers: "    a: {" + watch + ", handler: {chaos: {when: [{off: 1}]}}}", want: []string{"config.controllers.a.handler.chaos.when[0] has the key false"}, byTemplates: true},
		"with quotes": {
			controllers: `    "on": {watch: {apiVersion: v1, kind: Pod, namespaces: ["on", "no"], labelSelector: {matchLabels: {"off": "1.20"}}}, resync: "off", handler: {chaos: {"no": true}}}`,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			values := filepath.Join(t.TempDir(), "values.yaml")
			if err := os.WriteFile(values, []byte(begin+tc.controllers+end), 0o600); err != nil {
				t.Fatal(err)
			}
			commands := [][]string{
				{"template", "demo", chartDir, "--values", values},
				{"install", "demo", chartDir, "--values", values, "--dry-run=client"},
			}
			if !tc.byTemplates {
				commands = append(commands, []string{"lint", chartDir, "--values", values})
			}
			forEachHelm(t, func(t *testing.T, version string) {
				for _, command := range commands {
					out, err := tryHelm(t, version, command...)
					if (err == nil) != (len(tc.want) == 0) {
						t.Errorf("helm %s says, with error %v:\n%s", command[0], err, out)
					}
					for _, want := range tc.want {
						if !strings.Contains(out, want) {
							t.Errorf("helm %s says\n%s\nwant %q", command[0], out, want)
						}
					}
				}
			})
		})
	}
}
