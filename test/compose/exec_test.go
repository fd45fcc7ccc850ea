package compose_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

var revisions = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "controllerrevisions"}

// serversScript is a hook that answers with two Deployments of the image that the parent says, and
// notes its calls.
const serversScript = `
image=$(sed 's/.*"spec":{"n":3,"text":"\([a-z]*\)".*/\1/')
echo "$KOOPERD_HOOK" >> "$0"
if [ "$KOOPERD_HOOK" = finalize ]; then echo '{"finalized": true}'; exit; fi
deployment() {
	echo '{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "'$KOOPERD_NAME-$1'"}, "spec": {
		"selector": {"matchLabels": {"app": "'$1'"}}, "template": {"metadata": {"labels": {"app": "'$1'"}},
		"spec": {"containers": [{"name": "c", "image": "'$image'"}]}}}}'
}
echo '{"status": {"text": "'$image'"}, "children": ['; deployment 0; echo ,; deployment 1; echo ']}'
`

// defineServers makes that hook a definition, and returns the file of its calls.
func (r *rig) defineServers(t *testing.T) (calls string) {
	t.Helper()
	calls = filepath.Join(t.TempDir(), "calls")
	command := []string{"/bin/sh", "-c", serversScript, calls}
	r.defineAll(t, map[string]definition{definitionName: {settings: map[string]any{"handler": map[string]any{"exec": map[string]any{
		"compose": true, "command": command, "finalize": map[string]any{"command": command},
		"children": []any{map[string]any{
			"apiVersion": "apps/v1", "kind": "Deployment", "update": "rollingInPlace",
			"statusChecks": []any{map[string]any{"type": "Available", "status": "True"}},
		}},
	}}}}})
	return calls
}

// TestPrograms runs a program that says what should exist: its children are made, updated one after
// the other, left alone when nothing changes, and go with their parent.
func TestPrograms(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	calls := r.defineServers(t)
	p := r.start(t)
	r.thing(t, "p", "a")
	r.awaitImages(t, "a", "a")
	r.awaitUpdated(t, "True", "OnLatestRevision")
	for i := range 2 {
		r.available(t, fmt.Sprintf("p-%d", i), 1)
	}
	r.patch(t, things, "p", `{"spec": {"text": "b"}}`)
	r.awaitUpdated(t, "False", "RolloutWaiting")
	r.awaitImages(t, "b", "a")
	if found := len(r.list(t, revisions)); found != 2 {
		t.Errorf("there are %d revisions during the update, want 2", found)
	}
	r.available(t, "p-0", 2)
	r.awaitImages(t, "b", "b")
	r.awaitUpdated(t, "True", "OnLatestRevision")
	r.await(t, revisions, "one revision after the update", func(o objects) bool { return len(o) == 1 })

	r.available(t, "p-1", 2)
	r.ready(t, "p")
	mark := shared.AuditMark(t)
	for i := range 2 { // The second one begins when the pass of the first is over.
		before := callsIn(t, calls)
		r.patch(t, things, "p", fmt.Sprintf(`{"metadata": {"annotations": {"example.com/touch": "%d"}}}`, i))
		p.Await(t, "another call", func() bool { return callsIn(t, calls) > before })
	}
	r.noWrites(t, mark, "while nothing changes")

	r.remove(t, things, "p")
	r.await(t, things, "the end of the parent", func(o objects) bool { return o["p"] == nil })
	text, err := os.ReadFile(calls)
	if err != nil || !strings.Contains(string(text), "finalize\n") {
		t.Errorf("the finalize hook was not called: %s, %v", text, err)
	}
	r.await(t, deployments, "the end of the children", func(o objects) bool { return len(o) == 0 })
}

// leakyScript is a hook that gives its token back, in the way that the parent is called by.
const leakyScript = `
cat >/dev/null
case "$KOOPERD_NAME" in
condition) echo '{"status": {"conditions": [{"type": "Theirs", "status": "True", "reason": "Known", "message": "it is '$TOKEN'"}]}}';;
page)      echo "<html>$TOKEN</html>";;
kind)      echo '{"children": [{"apiVersion": "v1", "kind": "'$TOKEN'"}]}';;
refused)   echo '{"children": [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "labels": {"a": "'$TOKEN'/"}}}]}';;
fails)     echo "no access with $TOKEN" >&2; exit 1;;
esac
`

// TestProgramsKeepSecrets has programs whose token is quoted by themselves, by kooperd, and by the
// API server: it is in no text.
func TestProgramsKeepSecrets(t *testing.T) {
	t.Parallel()
	if !conformance {
		t.Skip("TestWhatAComposerRedacts of pkg/compose has the same")
	}
	r := newRig(t)
	r.defineAll(t, map[string]definition{definitionName: {settings: map[string]any{"handler": map[string]any{"exec": map[string]any{
		"compose": true, "command": []string{"/bin/sh", "-c", leakyScript},
		"secretEnv": map[string]any{"TOKEN": map[string]any{"file": writeTemp(t, []byte(canarySecret))}},
		"children":  []any{map[string]any{"apiVersion": "v1", "kind": "ConfigMap"}},
	}}}}})
	p := r.start(t)
	for _, name := range []string{"condition", "page", "kind", "refused", "fails"} {
		r.thing(t, name, "x")
		if name != "condition" {
			r.awaitCondition(t, name, "[REDACTED]")
			r.awaitEventOf(t, p, name, "a warning", func(e eventsv1.Event) bool { return strings.Contains(e.Note, "[REDACTED]") })
		}
	}
	r.await(t, things, "the condition of the program", func(o objects) bool {
		_, _, message := o.condition("condition", "Theirs")
		return message == "it is [REDACTED]"
	})
	texts := map[string]string{"/readyz": p.readyz(t), "the log": p.Tail(100000)}
	for name, parent := range r.list(t, things) {
		text, err := json.Marshal([]any{parent.Object, r.eventsAbout(t, name)})
		if err != nil {
			t.Fatal(err)
		}
		texts[name] = string(text)
	}
	for where, text := range texts {
		if strings.Contains(text, canarySecret) || strings.Contains(text, base64.StdEncoding.EncodeToString([]byte(canarySecret))) {
			t.Errorf("%s: there is the secret: %s", where, text)
		}
	}
}

// awaitImages waits until the Deployments have these images.
func (r *rig) awaitImages(t *testing.T, want ...string) {
	t.Helper()
	r.await(t, deployments, fmt.Sprintf("the images %v", want), func(o objects) bool {
		for i, image := range want {
			d := o[fmt.Sprintf("p-%d", i)]
			if d == nil {
				return false
			}
			containers, _, _ := unstructured.NestedSlice(d.Object, "spec", "template", "spec", "containers")
			if c, ok := containers[0].(map[string]any); !ok || c["image"] != image {
				return false
			}
		}
		return true
	})
}

// awaitUpdated waits for the condition Updated of the parent.
func (r *rig) awaitUpdated(t *testing.T, status, reason string) {
	t.Helper()
	r.await(t, things, "Updated "+status+" "+reason, func(o objects) bool {
		is, why, _ := o.condition("p", "Updated")
		return is == status && why == reason
	})
}

// available makes a Deployment available at a generation.
func (r *rig) available(t *testing.T, name string, generation int) {
	t.Helper()
	r.patch(t, deployments, name, fmt.Sprintf(`{"status": {"observedGeneration": %d, "replicas": 1, "updatedReplicas": 1,
		"readyReplicas": 1, "availableReplicas": 1, "conditions": [{"type": "Available", "status": "True"}]}}`, generation), "status")
}

// callsIn is how many calls a file has.
func callsIn(t *testing.T, path string) int {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(text), "\n")
}
