package config_test

import (
	"strings"
	"testing"

	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/handlers/builtin"
)

// TestShownDefinition prints a definition in whose config a Secret stands.
func TestShownDefinition(t *testing.T) {
	registry, err := handlers.NewRegistry(builtin.Plugins()...)
	if err != nil {
		t.Fatal(err)
	}
	file := write(t, "c.yaml", `apiVersion: kooperd.dev/v1alpha1
controllers:
  website:
    watch: {apiVersion: demo.kooperd.dev/v1, kind: Website}
    handler:
      apply:
        children:
          key: {template: {apiVersion: v1, kind: Secret, metadata: {name: key}, stringData: {password: canary-4711}, data: {other: Y2FuYXJ5}}}
          pod: {template: {apiVersion: v1, kind: Pod, metadata: {name: pod}, spec: {containers: [{name: c, image: i, env: [
            {name: LITERAL, value: canary-env}, {name: OTHER, valueFrom: {secretKeyRef: {name: s, key: k}}}]}]}}}
          page: {template: {apiVersion: v1, kind: ConfigMap, metadata: {name: page}, data: {text: plain}}}
`)
	cfg, err := config.Load(t.Context(), []string{file}, config.Options{Registry: registry})
	if err != nil {
		t.Fatal(err)
	}
	shown, err := config.ShownDefinition(cfg.Definitions[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"password: '[REDACTED]'", "other: '[REDACTED]'", "text: plain", "value: '[REDACTED]'", "name: LITERAL", "key: k", "timeout: 1m", "kind: Website"} {
		if !strings.Contains(string(shown), want) {
			t.Errorf("it has no %s:\n%s", want, shown)
		}
	}
	if strings.Contains(string(shown), "canary") || strings.Contains(string(shown), "Y2FuYXJ5") {
		t.Errorf("a value of a Secret is shown:\n%s", shown)
	}
	if shown, err := config.ShownDefinition(config.Definition{}); shown != nil || err != nil {
		t.Errorf("no definition: %q, %v", shown, err)
	}
}

// TestShownDefinitionOfHooks has what may be a credential in the configs of exec and webhook.
func TestShownDefinitionOfHooks(t *testing.T) {
	registry, err := handlers.NewRegistry(builtin.Plugins()...)
	if err != nil {
		t.Fatal(err)
	}
	file := write(t, "c.yaml", `apiVersion: kooperd.dev/v1alpha1
controllers:
  a:
    watch: {apiVersion: v1, kind: ConfigMap}
    handler:
      exec:
        command:
        - /bin/true
        - "https://canary-user:canary-password@hooks.example:8443/path?key=canary-argument"
        - --store=postgres://store:canary#canary@db.example/a
        - --store=postgres://store:canary?canary@db.example/b
        - --store=postgres://store:canary/canary@db.example/c
        - --store=postgres://store:canary'canary@db.example/d
        env: {TOKEN: canary-variable, LEVEL: canary-level}
  b:
    watch: {apiVersion: v1, kind: ConfigMap}
    handler:
      webhook:
        sync: {url: "https://hooks.example/sync?token=canary-query"}
        finalize: {url: "http://hooks.example/finalize"}
`)
	cfg, err := config.Load(t.Context(), []string{file}, config.Options{Registry: registry})
	if err != nil {
		t.Fatal(err)
	}
	for i, wants := range [][]string{
		{"https://[REDACTED]@hooks.example:8443/path?[REDACTED]", "TOKEN: '[REDACTED]'", "LEVEL: '[REDACTED]'", "/bin/true",
			"--store=postgres://[REDACTED]@db.example/a\n", "--store=postgres://[REDACTED]@db.example/b\n",
			"--store=postgres://[REDACTED]@db.example/c\n", "--store=postgres://[REDACTED]@db.example/d\n"},
		{"url: https://hooks.example/sync?[REDACTED]", "url: http://hooks.example/finalize\n"},
	} {
		shown, err := config.ShownDefinition(cfg.Definitions[i])
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range wants {
			if !strings.Contains(string(shown), want) {
				t.Errorf("it has no %s:\n%s", want, shown)
			}
		}
		if strings.Contains(string(shown), "canary") {
			t.Errorf("what may be a credential is shown:\n%s", shown)
		}
	}
}
