package daemon_test

import (
	"encoding/json"
	"strings"
	"testing"

	"kooperd.dev/kooperd/pkg/daemon"
)

const declared = `apiVersion: "kooperd.dev/v1alpha1"
kinds: Website: {group: "demo.example.com", versions: v1: schema: spec: {html!: string, size?: int & <=10}}
controllers: pages: {watch: {apiVersion: "demo.example.com/v1", kind: "Website"}, handler: log: {}}
`

// cueFile writes a config in CUE.
func cueFile(t *testing.T, text string) string {
	t.Helper()
	name := t.TempDir() + "/controllers.cue"
	writeFile(t, name, text)
	return name
}

func TestPrintCRDs(t *testing.T) {
	config := cueFile(t, declared)
	yaml, stderr, status := runArgs(t, "crds", config)
	if status != daemon.ExitOK || stderr != "" || !strings.Contains(yaml, "name: websites.demo.example.com") {
		t.Fatalf("exit status %d, standard error %q, output:\n%s", status, stderr, yaml)
	}
	text, _, _ := runArgs(t, "crds", config, "-o", "json")
	var list struct{ Items []json.RawMessage }
	if err := json.Unmarshal([]byte(text), &list); err != nil || len(list.Items) != 1 {
		t.Errorf("as JSON: %v:\n%s", err, text)
	}
	before := file(t, yaml)
	for name, tc := range map[string]struct {
		config string
		args   []string
		want   string
		status int
	}{
		"the same":         {declared, nil, "no change\n", daemon.ExitOK},
		"the same as JSON": {declared, []string{"-o", "json"}, "[]\n", daemon.ExitOK},
		"wider":            {strings.Replace(declared, "<=10", "<=20", 1), nil, "wider: websites.demo.example.com v1 spec.size: maximum is 20, was 10\n", daemon.ExitOK},
		"narrower":         {strings.Replace(declared, "<=10", "<=5", 1), nil, "narrower: websites.demo.example.com v1 spec.size: maximum is 5, was 10\n", daemon.ExitFailure},
		"allowed": {
			strings.Replace(declared, "<=10", "<=5", 1), []string{"--allow-narrower"},
			"narrower: websites.demo.example.com v1 spec.size: maximum is 5, was 10\n", daemon.ExitOK,
		},
	} {
		t.Run(name, func(t *testing.T) {
			stdout, stderr, status := runArgs(t, append([]string{"crds", cueFile(t, tc.config), "--compare", before}, tc.args...)...)
			if stdout != tc.want || stderr != "" || status != tc.status {
				t.Errorf("exit status %d, standard error %q, output:\n%swant %d and\n%s", status, stderr, stdout, tc.status, tc.want)
			}
		})
	}
}

func TestPrintCRDsMistakes(t *testing.T) {
	config := cueFile(t, declared)
	none := cueFile(t, "apiVersion: \"kooperd.dev/v1alpha1\"\ncontrollers: {}\n")
	for name, tc := range map[string]struct {
		args []string
		want string
	}{
		"no kinds":       {[]string{none}, "the config declares no kinds: they stand in kinds, beside controllers"},
		"format":         {[]string{config, "-o", "text"}, `unknown format "text", want one of: yaml, json`},
		"both":           {[]string{config, "--live", "--compare", "x"}, "--compare and --live are two things to compare with: use one of them"},
		"allow narrower": {[]string{config, "--allow-narrower"}, "--allow-narrower is for --compare and --live"},
		"cluster":        {[]string{config, "--timeout", "1s"}, "--timeout is for --live"},
		"missing file":   {[]string{config, "--compare", "none.yaml"}, "reading CustomResourceDefinitions: lstat none.yaml: no such file or directory"},
		"no definitions": {[]string{config, "--compare", file(t, "{apiVersion: v1, kind: ConfigMap}")}, "reading CustomResourceDefinitions: there is none of apiextensions.k8s.io/v1 in "},
		"mistake":        {[]string{cueFile(t, strings.Replace(declared, "html!: string", "html!: string | bool", 1))}, "kinds.Website.versions.v1.schema.spec.html: can be a bool or a string"},
	} {
		t.Run(name, func(t *testing.T) {
			stdout, stderr, status := runArgs(t, append([]string{"crds"}, tc.args...)...)
			if stdout != "" || status != daemon.ExitUsage || !strings.Contains(stderr, tc.want) {
				t.Errorf("exit status %d, output %q, standard error %q, want %q", status, stdout, stderr, tc.want)
			}
		})
	}
}

// TestDeclaredKinds: commands know the kinds of the file as they know those of --crds.
func TestDeclaredKinds(t *testing.T) {
	config := cueFile(t, declared)
	stdout, stderr, status := runArgs(t, "rbac", config, "--namespace", "default")
	if status != daemon.ExitOK || !strings.Contains(stdout, "- websites\n") || strings.Contains(stdout, "customresourcedefinitions") {
		t.Errorf("rbac: exit status %d, standard error %q, output:\n%s", status, stderr, stdout)
	}
	stdout, _, status = runArgs(t, "print", config)
	if status != daemon.ExitOK || !strings.Contains(stdout, "openAPIV3Schema:") || strings.Contains(stdout, " schema:") {
		t.Errorf("print: exit status %d, output:\n%s", status, stdout)
	}
}
