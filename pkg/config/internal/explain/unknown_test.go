package explain

import (
	"testing"

	"kooperd.dev/kooperd/pkg/config/internal/diagnostic"
	"kooperd.dev/kooperd/pkg/config/internal/syntax"
)

func TestUnknownPlugin(t *testing.T) {
	for name, want := range map[string]string{
		"exce":    `did you mean "exec"? this binary has exec and log`,
		"Log":     `did you mean "log"? this binary has exec and log`,
		"timeout": `"timeout" belongs in controllers.a; this binary has exec and log`, // of a plugin, too
		"level":   `"level" is a setting of the plugin log; this binary has exec and log`,
		"argv":    `"argv" is a setting of the plugin exec; this binary has exec and log`,
		"webhook": "this binary has exec and log",
		"":        "this binary has exec and log",
	} {
		c := checker(t, syntax.YAML, "controllers: {}\n")
		at := diagnostic.Path{"controllers", "a", "handler", name}
		for range 2 { // The second time it is known.
			c.UnknownPlugin(at, diagnostic.Position{File: "f.yaml", Line: 3, Column: 5})
		}
		if len(c.Diags) != 1 {
			t.Fatalf("%q: %d diagnostics, want 1: %v", name, len(c.Diags), c.Diags)
		}
		if d := c.Diags[0]; d.Hint != want || d.Message != "no handler plugin named "+diagnostic.Quote(name) {
			t.Errorf("%s, want the hint %s", d, want)
		}
	}
}

func TestUnknownField(t *testing.T) {
	for text, want := range map[string]string{
		"modes: sequential":          `f.yaml:7:5: controllers.a.modes: unknown field; did you mean "mode"?`,
		"leader-election: required":  `f.yaml:7:5: controllers.a.leader-election: unknown field; did you mean "leaderElection"?`,
		"namespaces: [x]":            `f.yaml:7:5: controllers.a.namespaces: unknown field; "namespaces" belongs in controllers.a.watch`,
		"maxRetries: 5":              `f.yaml:7:5: controllers.a.maxRetries: unknown field; "maxRetries" belongs in controllers.a.retry`,
		"level: debug":               `f.yaml:7:5: controllers.a.level: unknown field; "level" belongs in controllers.a.handler.log`,
		"apiVersion: v1":             `f.yaml:7:5: controllers.a.apiVersion: unknown field; "apiVersion" belongs at the top level`,
		"retry: {timeout: 5s}":       `f.yaml:7:13: controllers.a.retry.timeout: unknown field; "timeout" belongs in controllers.a`,
		"retry: {leaseDuration: 5s}": `f.yaml:7:13: controllers.a.retry.leaseDuration: unknown field; known here: maxRetries, initialDelay and maxDelay`,
	} {
		c := checker(t, syntax.YAML, `apiVersion: kooperd.dev/v1alpha1
controllers:
  a:
    watch: {apiVersion: v1, kind: Pod}
    handler:
      log: {}
    `+text+"\n")
		c.CheckDocument()
		if have := c.Diags.Error(); have != want {
			t.Errorf("%s:\nhave %s\nwant %s", text, have, want)
		}
	}
}

// TestSoundPart wants what is right of a document with mistakes.
func TestSoundPart(t *testing.T) {
	c := checker(t, syntax.CUE, `
apiVersion: "kooperd.dev/v1alpha1"
controllers: a: {watch: {apiVersion: "v1", kind: "Pod", namespaces: ["x", 5]}, workers: "3", timeout: "1m", handler: log: {}}
`)
	sound, ok := c.CheckDocument()
	if !ok || len(c.Diags) != 2 {
		t.Errorf("%t, with %d diagnostics, want 2: %v", ok, len(c.Diags), c.Diags)
	}
	root, _ := sound.(map[string]any)
	controllers, _ := root["controllers"].(map[string]any)
	a, _ := controllers["a"].(map[string]any)
	watch, _ := a["watch"].(map[string]any)
	if a["timeout"] != "1m" || a["workers"] != nil || watch["kind"] != "Pod" || watch["namespaces"] != nil {
		t.Errorf("the sound part is %v", sound)
	}
}
