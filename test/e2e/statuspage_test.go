package e2e_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kooperd.dev/kooperd/pkg/statusz"
	"kooperd.dev/kooperd/test/daemon"
)

// askPage asks for a page of the health server with an Authorization header, unless it is empty.
func askPage(t *testing.T, p *daemon.Process, path, authorization string) (code int, body string) {
	t.Helper()
	address := p.AwaitLog(t, "serving", "server", "health").Field("address")
	return get(t, "http://"+address+path, authorization, nil)
}

// TestStatusPage: those who may get /statusz read why an object was handled, and nobody reads the
// values of a Secret.
func TestStatusPage(t *testing.T) {
	const canary = "canary-of-the-status-page"
	ns := shared.Namespace(t)
	reader := "Bearer " + shared.ServiceAccount(t, ns, "reader", mayGet("/statusz")).BearerToken
	scraper := "Bearer " + shared.ServiceAccount(t, ns, "prometheus", mayGet("/metrics")).BearerToken
	p := daemon.Start(t, daemon.Options{Kubeconfig: shared.AdminKubeconfig(), Args: []string{"--authenticate"}, Config: fmt.Sprintf(`
apiVersion: "kooperd.dev/v1alpha1"
leaderElection: "disabled"
controllers: {
	copies: {
		watch: {apiVersion: "v1", kind: "Secret", namespaces: [%[1]q], labelSelector: "copy=yes"}
		handler: apply: children: copy: template: {
			apiVersion: "v1", kind: "Secret", metadata: name: "${object.metadata.name}-copy"
			stringData: {token: "${string(base64.decode(object.data.token))}", fixed: "%[2]s-of-the-config"}
		}
	}
	broken: {
		watch: {apiVersion: "v1", kind: "Secret", namespaces: [%[1]q], labelSelector: "copy=yes"}
		handler: apply: children: copy: template: {
			apiVersion: "v1", kind: "Service", metadata: name: "broken", spec: type: "${string(base64.decode(object.data.token))}"
		}
	}
	programs: {
		watch: {apiVersion: "v1", kind: "ConfigMap", namespaces: [%[1]q], labelSelector: "copy=yes"}
		handler: exec: {command: ["true", "https://%[2]s@example.com/?key=%[2]s"], env: TOKEN: %[2]q}
	}
}`, ns, canary)})
	p.AwaitReady(t)
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "token", Labels: map[string]string{"copy": "yes"}},
		StringData: map[string]string{"token": canary},
	}
	if _, err := shared.Client().CoreV1().Secrets(ns).Create(t.Context(), secret, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}

	object := "/objects/Secret/" + ns + "/token"
	p.Await(t, "the calls for the Secret", func() bool {
		_, body := askPage(t, p, object+"?format=json", reader)
		var report statusz.ObjectReport
		if json.Unmarshal([]byte(body), &report) != nil || len(report.Definitions) != 2 {
			return false
		}
		broken, copies := report.Definitions[0], report.Definitions[1]
		return broken.Error != "" && len(broken.Handlings) > 0 && len(copies.Handlings) > 0 && len(copies.Handlings[0].Writes) > 0
	})
	pages := []string{
		"/", "/statusz?format=json&items=100", "/definitions", "/definitions/broken", "/definitions/broken?format=json",
		"/definitions/copies", "/definitions/copies?format=json", "/definitions/programs", "/definitions/programs?format=json",
		object, object + "?format=json", object + "-copy", object + "-copy?format=json", "/attention", "/sources", "/config", "/search?q=token",
	}
	for _, path := range pages {
		code, body := askPage(t, p, path, reader)
		if code != http.StatusOK {
			t.Errorf("%s: status %d: %.300s", path, code, body)
		}
		for _, value := range []string{canary, base64.StdEncoding.EncodeToString([]byte(canary))} {
			if strings.Contains(body, value) {
				t.Errorf("%s has the value of a Secret: %s", path, body)
			}
		}
		if code, body := askPage(t, p, path, ""); code != http.StatusUnauthorized {
			t.Errorf("%s without a token: status %d: %.300s", path, code, body)
		}
		if code, body := askPage(t, p, path, scraper); code != http.StatusForbidden || !strings.Contains(body, "may not get /statusz") {
			t.Errorf("%s without the right: status %d: %.300s", path, code, body)
		}
	}
	for path, shown := range map[string][]string{
		"/definitions/copies": {"labelSelector: copy=yes", "fixed: &#39;[REDACTED]&#39;"}, "/definitions/programs": {"TOKEN: &#39;[REDACTED]&#39;", "https://[REDACTED]@example.com/?[REDACTED]"},
	} {
		_, body := askPage(t, p, path, reader)
		for _, want := range shown {
			if !strings.Contains(body, want) {
				t.Errorf("%s does not show the config with %s: %s", path, want, body)
			}
		}
	}
	if _, body := askPage(t, p, object, reader); !strings.Contains(body, "secrets/"+ns+"/token-copy") || !strings.Contains(body, "the object changed") {
		t.Errorf("the page of the object does not show why it was handled: %s", body)
	}
	browser := "Basic " + base64.StdEncoding.EncodeToString([]byte("anybody:"+strings.TrimPrefix(reader, "Bearer ")))
	if code, _ := askPage(t, p, "/", browser); code != http.StatusOK {
		t.Errorf("with the token as a password: status %d", code)
	}
	for _, probe := range []string{"/livez", "/readyz", "/leaderz"} {
		if code, body := askPage(t, p, probe, ""); code != http.StatusOK {
			t.Errorf("%s without a token: status %d: %s", probe, code, body)
		}
	}
}
