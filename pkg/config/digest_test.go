package config_test

import (
	"testing"

	"kooperd.dev/kooperd/pkg/config"
)

const digestBase = `apiVersion: kooperd.dev/v1alpha1
controllers:
  a:
    watch: {apiVersion: v1, kind: Pod, namespaces: [x, y], labelSelector: "tier in (a, b),app=web"}
    ignore: [status, metadata.labels]
    rate: {perSecond: 2}
    handler: {exec: {argv: [ls], env: {A: "1", B: "2"}}}
`

func digest(t *testing.T, file, text string) config.Digest {
	t.Helper()
	return mustLoad(t, write(t, file, text)).Definitions[0].Digest
}

// TestDigestEqual writes one definition in different ways.
func TestDigestEqual(t *testing.T) {
	want := digest(t, "a.yaml", digestBase)
	if want == (config.Digest{}) {
		t.Fatal("the digest is zero")
	}
	tests := map[string]struct{ file, text string }{
		"another name, file and lease": {"b.yml", `# a comment
apiVersion: kooperd.dev/v1alpha1
leaderElection: {name: other}
controllers:
  b:
    handler: {exec: {env: {B: "2", A: "1"}, argv: [ls]}}
    rate: {perSecond: 2.0}
    ignore: [metadata.labels, status]
    watch: {kind: Pod, labelSelector: "app=web,  tier in (b,a)", namespaces: [y, x], apiVersion: v1}
`},
		"CUE, with defaults": {"c.cue", `apiVersion: "kooperd.dev/v1alpha1"
controllers: a: {
	watch: {apiVersion: "v1", kind: "Pod", namespaces: ["x", "y"], labelSelector: {
		matchLabels: app: "web"
		matchExpressions: [{key: "tier", operator: "In", values: ["a", "b"]}]
	}}
	ignore: ["status", "metadata.labels"]
	mode: "sequential", timeout: "60s", resync: "off", paused: false, leaderElection: "required"
	retry: {maxRetries: "unlimited", initialDelay: "5000us", maxDelay: "300s"}
	rate: {perSecond: 2, burst: 1}
	handler: exec: {argv: ["ls"], env: {A: "1", B: "2"}, timeout: "10s", retries: 0, shell: false}
}
`},
	}
	for name, tc := range tests {
		if digest(t, tc.file, tc.text) != want {
			t.Errorf("%s: the digest is another one", name)
		}
	}
}

// TestDigestDiffers changes one setting at a time.
func TestDigestDiffers(t *testing.T) {
	const template = `apiVersion: "kooperd.dev/v1alpha1"
controllers: [string]: {
	watch: {apiVersion: *"v1" | string, kind: *"Pod" | string}
	handler: *close({log: {}}) | close({exec: {...}})
}
controllers: a: `
	seen := map[config.Digest]string{digest(t, "f.cue", template+"{}"): "nothing"}
	for _, change := range []string{
		`watch: kind: "Secret"`, `watch: {apiVersion: "apps/v1", kind: "Deployment"}`, `watch: namespaces: ["x"]`,
		`watch: namespaces: ["x", "y"]`, `watch: labelSelector: "a"`, `watch: labelSelector: "!a"`, `watch: fieldSelector: "metadata.name=a"`,
		`ignore: ["status"]`, `where: "oldObject == null"`, `where: "oldObject != null"`, `handler: log: level: "debug"`,
		`handler: exec: argv: ["ls"]`, `handler: exec: {argv: ["ls"], timeout: "11s"}`, `mode: "concurrent"`,
		`{mode: "concurrent", workers: 4}`, `resync: "1m"`, `retry: maxRetries: 0`, `retry: initialDelay: "6ms"`,
		`retry: maxDelay: "6m"`, `rate: perSecond: 1`, `rate: {perSecond: 1, burst: 2}`, `timeout: "2m"`,
		`leaderElection: "disabled"`, `paused: true`,
		`{handler: exec: {argv: ["ls"], shell: true}, finalizer: "example.com/a"}`,
		`{handler: exec: {argv: ["ls"], shell: true}, finalizer: "example.com/b"}`,
	} {
		sum := digest(t, "f.cue", template+change)
		if other, ok := seen[sum]; ok {
			t.Errorf("%s and %s have one digest", change, other)
		}
		seen[sum] = change
	}
}
