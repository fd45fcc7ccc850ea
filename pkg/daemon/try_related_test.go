package daemon_test

import (
	"strings"
	"testing"

	"kooperd.dev/kooperd/pkg/daemon"
)

// TestTryRelatedByParent reads the object that the parent names, of several that there are, and
// says what is waited for when there is none.
func TestTryRelatedByParent(t *testing.T) {
	const config = `apiVersion: kooperd.dev/v1alpha1
leaderElection: {namespace: default}
controllers:
  office:
    watch: {apiVersion: v1, kind: ConfigMap}
    handler:
      apply:
        related:
          mine: {apiVersion: v1, kind: Service, name: "${object.data.?service}", sameNamespace: true}
        children:
          copy:
            template: {apiVersion: v1, kind: Endpoints, metadata: {name: "${object.metadata.name}", annotations: {of: "${related.mine.spec.clusterIP}"}}}
`
	const service = "---\n{apiVersion: v1, kind: Service, metadata: {name: NAME, namespace: a}, spec: {clusterIP: ip-of-NAME}}\n"
	services := file(t, strings.ReplaceAll(service, "NAME", "first")+strings.ReplaceAll(service, "NAME", "second"))
	for data, want := range map[string]string{
		"{service: second}": "of: ip-of-second\n",
		"{service: third}":  "waits for related mine (Service third)",
		"{}":                "waits for related mine (the object names none)",
	} {
		parent := file(t, "{apiVersion: v1, kind: ConfigMap, metadata: {name: one, namespace: a}, data: "+data+"}\n")
		stdout, stderr, status := runTry(t, config, "--object", parent, "--related", services)
		if status != daemon.ExitOK || stderr != "" || !strings.Contains(stdout, want) {
			t.Errorf("with data %s, exit status is %d, standard error %q, and it prints\n%s\nwant %q", data, status, stderr, stdout, want)
		}
	}
}
