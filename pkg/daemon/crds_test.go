package daemon_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kooperd.dev/kooperd/pkg/daemon"
	"kooperd.dev/kooperd/pkg/handlers/builtin"
)

const sitesConfig = `apiVersion: kooperd.dev/v1alpha1
leaderElection: {namespace: default}
controllers:
  sites:
    watch: {apiVersion: demo.kooperd.dev/v1, kind: Site}
    handler:
      apply:
        children:
          page:
            template:
              apiVersion: v1
              kind: ConfigMap
              metadata: {name: "${object.metadata.name}"}
              data: {title: "${object.spec.title}"}
`

const sitesCRD = `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: sites.demo.kooperd.dev}
spec:
  group: demo.kooperd.dev
  scope: Namespaced
  names: {kind: Site, plural: sites}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {title: {type: string}}}}}}
`

// crdsCommands are the commands that take --crds, with what they need besides.
func crdsCommands(t *testing.T) map[string][]string {
	t.Helper()
	return map[string][]string{
		"validate": nil, "print": nil, "rbac": nil,
		"try": {"--object", file(t, "{apiVersion: demo.kooperd.dev/v1, kind: Site, metadata: {name: home}, spec: {title: Home}}")},
	}
}

// runWithCRDs runs a command on a config and CustomResourceDefinitions in a folder, and returns all
// that it prints. DIR stands for the folder.
func runWithCRDs(t *testing.T, dir, command, config string, args ...string) (output string, status int) {
	t.Helper()
	path := filepath.Join(dir, "controllers.yaml")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	status = daemon.Run(t.Context(), daemon.Options{
		Args: append([]string{command, path, "--crds", filepath.Join(dir, "crds")}, args...), Stdout: &out, Stderr: &out, Plugins: builtin.Plugins(),
	})
	return strings.ReplaceAll(out.String(), dir, "DIR"), status
}

// A folder is read with all below it, and other files in it are left alone. What it says of a kind
// is checked, and known.
func TestCRDs(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"crds/README.md": "{{ no YAML", "crds/service.yaml": "apiVersion: v1\nkind: Service\nmetadata: {name: x}\n", "crds/demo/sites.yml": sitesCRD,
	} {
		writeFile(t, filepath.Join(dir, name), text)
	}
	for command, want := range map[string]string{
		"validate": "ok: 1 definition in 1 file\n", "print": "kind: Site", "rbac": "- sites\n", "try": "ConfigMap default/home",
	} {
		output, status := runWithCRDs(t, dir, command, sitesConfig, crdsCommands(t)[command]...)
		if status != daemon.ExitOK || !strings.Contains(output, want) {
			t.Errorf("%s: exit status is %d, and it prints\n%s\nwant %q", command, status, output, want)
		}
		const mistake = "DIR/controllers.yaml:14:44: controllers.sites.handler.apply.children.page.template.data.title: " +
			"there is no field object.spec.titel; did you mean \"title\"?\n"
		output, status = runWithCRDs(t, dir, command, strings.Replace(sitesConfig, "spec.title", "spec.titel", 1), crdsCommands(t)[command]...)
		if status != daemon.ExitUsage || output != mistake {
			t.Errorf("%s of a config with a mistake: exit status is %d, and it prints\n%s\nwant\n%s", command, status, output, mistake)
		}
	}
}

// Each file that is none says so with its place, whatever the command.
func TestBadCRDs(t *testing.T) {
	for name, tc := range map[string]struct {
		write func(t *testing.T, crds string)
		want  string
	}{
		"nothing there": {
			func(*testing.T, string) {},
			"lstat DIR/crds: no such file or directory",
		},
		"nothing in it": {
			func(t *testing.T, crds string) { writeFile(t, filepath.Join(crds, "README.md"), "x") },
			"there is no YAML or JSON file in DIR/crds",
		},
		"none in it": {
			func(t *testing.T, crds string) {
				writeFile(t, filepath.Join(crds, "a.yaml"), "kind: ConfigMap\napiVersion: v1\n")
			},
			"there is none in DIR/crds",
		},
		"a file that cannot be read": {
			func(t *testing.T, crds string) {
				writeFile(t, filepath.Join(crds, "a.yaml"), sitesCRD)
				if err := os.Symlink("nowhere", filepath.Join(crds, "b.yaml")); err != nil {
					t.Fatal(err)
				}
			},
			"open DIR/crds/b.yaml: no such file or directory",
		},
		"no YAML": {
			func(t *testing.T, crds string) {
				writeFile(t, filepath.Join(crds, "a.yaml"), sitesCRD+"---\nkind: [\n")
			},
			"DIR/crds/a.yaml: yaml: line 14: did not find expected node content",
		},
		"a template": {
			func(t *testing.T, crds string) {
				writeFile(t, filepath.Join(crds, "a.yaml"), "{{- if .Values.crds }}\n"+sitesCRD+"{{- end }}\n")
			},
			"DIR/crds/a.yaml: it is a template, with {{- if .Values.crds }} in it: render it first, for example with helm template",
		},
		"no names": {
			func(t *testing.T, crds string) {
				writeFile(t, filepath.Join(crds, "a.yaml"), strings.Replace(sitesCRD, "kind: Site,", "", 1))
			},
			"DIR/crds/a.yaml: a CustomResourceDefinition lacks spec.group, spec.names.kind or spec.names.plural",
		},
		"no version": {
			func(t *testing.T, crds string) {
				writeFile(t, filepath.Join(crds, "a.yaml"), strings.Replace(sitesCRD, "served: true", "served: false", 1))
			},
			"DIR/crds/a.yaml: CustomResourceDefinition sites.demo.kooperd.dev serves no version",
		},
		"no schema": {
			func(t *testing.T, crds string) {
				writeFile(t, filepath.Join(crds, "a.yaml"), strings.Replace(sitesCRD, "properties: {title: {type: string}}", "properties: [title]", 1))
			},
			`DIR/crds/a.yaml: reading the schema of Site: it has "[title]", want an object`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			tc.write(t, filepath.Join(dir, "crds"))
			for command, args := range crdsCommands(t) {
				output, status := runWithCRDs(t, dir, command, sitesConfig, args...)
				if want := "kooperd: reading CustomResourceDefinitions: " + tc.want + "\n"; status != daemon.ExitUsage || output != want {
					t.Errorf("%s: exit status is %d, and it prints\n%s\nwant\n%s", command, status, output, want)
				}
			}
		})
	}
}

// writeFile writes a file, and the folders above it.
func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
