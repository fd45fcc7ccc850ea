package access_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// typedCRD has a kind whose schema says what there is.
const typedCRD = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: shops.types.example.com}
spec:
  group: types.example.com
  scope: Namespaced
  names: {kind: Shop, plural: shops, singular: shop}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}}
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            properties:
              title: {type: string}
              replicas: {type: integer}
          status: {type: object, properties: {url: {type: string}}}
`

// typedConfig has expressions about Shops, and makes others; %[1]s is the namespace.
const typedConfig = `leaderElection: {name: "types", namespace: "%[1]s"}
controllers: shops: {
	watch: {apiVersion: "types.example.com/v1", kind: "Shop", namespaces: ["%[1]s"]}
	handler: apply: {
		children: {
			page: template: {
				apiVersion: "v1"
				kind:       "ConfigMap"
				metadata: name: "${object.metadata.name}"
				data: title:    "${object.spec.title}"
			}
			branch: template: {
				apiVersion: "types.example.com/v1"
				kind:       "Shop"
				metadata: {name: "${object.metadata.name}-branch", labels: branch: "yes"}
				spec: replicas: "${object.spec.replicas + 1}"
			}
		}
		status: url: "http://${children.page.metadata.name}/"
	}
}
`

// awaitSchema waits until the API server publishes a schema with that field. It serves a new kind
// before.
func awaitSchema(t *testing.T, path, field string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	client := shared.Client().Discovery().RESTClient()
	if err := wait.PollUntilContextCancel(ctx, 20*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		text, err := client.Get().AbsPath(path).DoRaw(ctx)
		return err == nil && bytes.Contains(text, []byte(strconv.Quote(field))), nil
	}); err != nil {
		t.Fatalf("waiting for %s in %s: %v", field, path, err)
	}
}

// TestValidateLiveTypes checks expressions and templates about a custom kind by the schema that the
// API server has of it, and says where in the file a mistake is.
func TestValidateLiveTypes(t *testing.T) {
	t.Parallel()
	shared.Apply(t, typedCRD)
	awaitSchema(t, "/openapi/v3/apis/types.example.com/v1", "replicas")
	namespace := shared.Namespace(t)
	good := fmt.Sprintf(typedConfig, namespace)
	validate := func(config string, args ...string) (output string, status int) {
		t.Helper()
		path := write(t, config)
		output, status = kooperd(t, append([]string{"validate", path}, args...)...)
		return strings.ReplaceAll(output, path, "FILE"), status
	}
	live := []string{"--live", "--kubeconfig", shared.AdminKubeconfig()}
	if output, status := validate(good, live...); status != 0 || !strings.HasPrefix(output, "ok: 1 definition in 1 file; the cluster serves every kind") {
		t.Errorf("exit status %d, want 0; output:\n%s", status, output)
	}
	const at = "FILE:%d:%d: controllers.shops.handler.apply.%s\n"
	for _, tc := range []struct {
		old, wrong   string
		line, column int
		want         string
	}{
		{"object.spec.title", "object.spec.titel", 11, 36, `children.page.template.data.title: there is no field object.spec.titel; did you mean "title"?`},
		{"object.spec.replicas + 1", "object.spec.title", 17, 36, `children.branch.template.spec.replicas: spec.replicas is a number, but object.spec.title is a string`},
		{"spec: replicas:", "spec: replica:", 17, 11, `children.branch.template.spec.replica: there is no field spec.replica; did you mean "replicas"?`},
		{"status: url:", "status: link:", 20, 11, `status.link: there is no field status.link`},
	} {
		wrong := strings.Replace(good, tc.old, tc.wrong, 1)
		if output, status := validate(wrong); status != 0 {
			t.Errorf("without the API server, exit status %d, want 0; output:\n%s", status, output)
		}
		output, status := validate(wrong, live...)
		if want := fmt.Sprintf(at, tc.line, tc.column, tc.want); status != 1 || output != want {
			t.Errorf("exit status %d, want 1; output:\n%s\nwant:\n%s", status, output, want)
		}
	}
	output, status := validate(strings.Replace(good, "spec.title", "spec.titel", 1), append(live, "--json")...)
	var found struct {
		File         string
		Line, Column int
	}
	if err := json.Unmarshal([]byte(output), &found); err != nil || status != 1 || found.Line != 11 || found.Column != 36 {
		t.Errorf("exit status %d, want 1; output:\n%s", status, output)
	}
}

// TestValidateLiveUnservedTypes has a kind that is not served, as a child and as what is watched.
// What is known of other kinds is checked nevertheless.
func TestValidateLiveUnservedTypes(t *testing.T) {
	t.Parallel()
	namespace := shared.Namespace(t)
	config := write(t, strings.ReplaceAll(fmt.Sprintf(typedConfig, namespace), "types.example.com", "unserved.example.com"))
	output, status := kooperd(t, "validate", config, "--live", "--kubeconfig", shared.AdminKubeconfig())
	want := "shops: the API server does not serve kind Shop of unserved.example.com/v1\n" +
		"shops: a kind that the apply composer owns: the API server does not serve kind Shop of unserved.example.com/v1\n"
	if status != 1 || output != want {
		t.Errorf("exit status %d, want 1; output:\n%s\nwant:\n%s", status, output, want)
	}
}
