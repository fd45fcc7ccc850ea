package daemon

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-logr/logr/funcr"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/engine"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/handlers/builtin"
)

const recordedConfig = `apiVersion: kooperd.dev/v1alpha1
controllers:
  office:
    watch: {apiVersion: v1, kind: ConfigMap}
    handler:
      apply:
        related: {token: {apiVersion: v1, kind: Secret, name: token, sameNamespace: true}}
        children:
          copy: {template: {apiVersion: v1, kind: Secret, metadata: {name: "${object.metadata.name}-copy"}, data: "${related.token.data}"}}
          line: {template: {apiVersion: v1, kind: ConfigMap, metadata: {name: line}, data: {line: "with ${string(base64.decode(related.token.data.token))}"}}}
  site:
    watch: {apiVersion: v1, kind: Service}
    handler:
      exec:
        compose: true
        command: [/bin/sh, -c, 'cat >/dev/null; echo ''{"children":[{"apiVersion":"v1","kind":"Secret","metadata":{"name":"s"},"data":{"own":"b3duLXNlY3JldA=="}}]}''']
        children: [{apiVersion: v1, kind: Secret}]
`

// recording is a recorder with a config.
type recording struct {
	*recorder
	definitions map[string]config.Definition
	config      string // its file
	log         *bytes.Buffer
}

func newRecording(t *testing.T, limit int) *recording {
	t.Helper()
	r := &recording{definitions: map[string]config.Definition{}, log: &bytes.Buffer{}}
	registry, err := handlers.NewRegistry(builtin.Plugins()...)
	if err != nil {
		t.Fatal(err)
	}
	r.config = filepath.Join(t.TempDir(), "recorded.yaml")
	if err := os.WriteFile(r.config, []byte(recordedConfig), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(t.Context(), []string{r.config}, config.Options{Registry: registry})
	if err != nil {
		t.Fatal(err)
	}
	for _, def := range cfg.Definitions {
		r.definitions[def.Name] = def
	}
	logger := funcr.New(func(_, args string) { r.log.WriteString(args + "\n") }, funcr.Options{Verbosity: 1})
	flags := recordFlags{dir: filepath.Join(t.TempDir(), "recorded"), limit: limit}
	if r.recorder, err = newRecorder(flags, caseMaker{registry: registry}, logger); err != nil {
		t.Fatal(err)
	}
	return r
}

// object makes an Object of YAML.
func observedObject(t *testing.T, text string) handlers.Object {
	t.Helper()
	u := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &u.Object); err != nil {
		t.Fatal(err)
	}
	o, err := handlers.ObjectOf(u)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// officeCall is a call of the definition office.
func (r *recording) officeCall(t *testing.T, parent string) engine.Call {
	t.Helper()
	return engine.Call{Definition: r.definitions["office"], Request: handlers.ComposeRequest{
		Object: observedObject(t, parent),
		Children: handlers.Children{{Name: "copy", Object: observedObject(t, `{apiVersion: v1, kind: Secret, metadata: {name: one-copy, namespace: a, uid: u2,
			resourceVersion: "8", labels: {kooperd.dev/parent-uid: u1, kooperd.dev/definition: office}}, data: {token: b2xkLXNlY3JldA==}}`)}},
		Related: map[string][]handlers.Object{"token": {observedObject(t,
			"{apiVersion: v1, kind: Secret, metadata: {name: token, namespace: a}, data: {token: dmVyeS1zZWNyZXQ=}}")}},
	}}
}

const recordedParent = `{apiVersion: v1, kind: ConfigMap, metadata: {name: one, namespace: a, uid: u1, resourceVersion: "7"}, data: {note: it was old-secret or very-secret}}`

// files returns what was recorded, by the names of the files.
func (r *recording) files(t *testing.T) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(r.dir)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, entry := range entries {
		path := filepath.Join(r.dir, entry.Name())
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		info, err := entry.Info()
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, %v", path, info.Mode(), err)
		}
		files[entry.Name()] = string(text)
	}
	return files
}

// replay runs the command test.
func (r *recording) replay(t *testing.T, args ...string) (string, int) {
	t.Helper()
	var out bytes.Buffer
	status := Run(t.Context(), Options{Args: append([]string{"test", r.dir, "--config", r.config}, args...), Stdout: &out, Stderr: &out, Plugins: builtin.Plugins()})
	return out.String(), status
}

// TestRecord records a call without what is secret, and replays it.
func TestRecord(t *testing.T) {
	r := newRecording(t, 2)
	r.record(t.Context(), r.officeCall(t, recordedParent))
	r.record(t.Context(), r.officeCall(t, strings.ReplaceAll(recordedParent, "one", "two"))) // It has the same shape.
	files := r.files(t)
	if len(files) != 1 {
		t.Fatalf("it has recorded %v, want one file; it logs\n%s", files, r.log)
	}
	for name, text := range files {
		for _, secret := range []string{"very-secret", "old-secret", "dmVyeS1zZWNyZXQ=", "b2xkLXNlY3JldA==", "resourceVersion", "kooperd.dev/"} {
			if strings.Contains(text, secret) {
				t.Errorf("%s has %s in it:\n%s", name, secret, text)
			}
		}
		if !strings.Contains(text, "note: it was masked-1 or masked-2") || !strings.Contains(text, "line: with masked-2") {
			t.Errorf("%s is\n%s", name, text)
		}
	}
	if out, status := r.replay(t); status != ExitOK || !strings.HasSuffix(out, "ok: 1 passed\n") {
		t.Errorf("replayed, it exits with %d and prints\n%s", status, out)
	}
	r.record(t.Context(), r.officeCall(t, strings.Replace(recordedParent, ", data:", ", immutable: true, data:", 1)))
	r.record(t.Context(), r.officeCall(t, strings.Replace(recordedParent, ", data:", ", immutable: false, data:", 1)))
	if files := r.files(t); len(files) != 2 {
		t.Errorf("it has recorded %d files, want another one, and not more than two", len(files))
	}
	again, err := newRecorder(r.recordFlags, r.installed, r.logger)
	if err != nil || !again.isFull("office") || again.isFull("site") {
		t.Errorf("a second process does not know what the first has recorded: %v", err)
	}
}

// TestRecordExternal does not run a program once more, and leaves out what it has put into a
// Secret.
func TestRecordExternal(t *testing.T) {
	r := newRecording(t, 5)
	answer := handlers.Composition{Children: []handlers.Child{{Object: &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": "s"}, "data": map[string]any{"own": "b3duLXNlY3JldA=="},
	}}}}}
	parent := observedObject(t, "{apiVersion: v1, kind: Service, metadata: {name: s, namespace: a}}")
	call := engine.Call{Definition: r.definitions["site"], Answer: answer, Request: handlers.ComposeRequest{Object: parent}}
	t.Setenv("PATH", "") // so that cat cannot be run
	r.record(t.Context(), call)
	files := r.files(t)
	if len(files) != 1 || strings.Contains(strings.Join(slices.Collect(maps.Values(files)), ""), "b3duLXNlY3JldA") {
		t.Fatalf("it has recorded %v; it logs\n%s", files, r.log)
	}
	t.Setenv("PATH", "/usr/bin:/bin")
	if out, status := r.replay(t, "--run-programs"); status != ExitOK || !strings.HasSuffix(out, "ok: 1 passed\n") {
		t.Errorf("replayed, it exits with %d and prints\n%s\n%v", status, out, files)
	}
	call.Answer.Children = []handlers.Child{{Name: "nothing"}}
	r.record(t.Context(), call)
	call.Request.Object = panicking{call.Request.Object}
	r.record(t.Context(), call)
	if want := "reading it has panicked"; !strings.Contains(r.log.String(), want) || !strings.Contains(r.log.String(), "has no object") {
		t.Errorf("of answers that cannot be read, it logs\n%s", r.log)
	}
	call.Err, call.Answer, call.Request.Object = errors.New("the hook is down"), answer, parent
	r.record(t.Context(), call)
	if files := r.files(t); len(files) != 1 {
		t.Errorf("the failure of a program is recorded: %v", files)
	}
}

// panicking is an object that cannot be read.
type panicking struct{ handlers.Object }

func (panicking) Into(any) error { panic("no") }

// TestRecordFails logs that it cannot write, and harms nothing.
func TestRecordFails(t *testing.T) {
	r := newRecording(t, 5)
	if err := os.RemoveAll(r.dir); err != nil {
		t.Fatal(err)
	}
	r.record(t.Context(), r.officeCall(t, recordedParent))
	r.record(t.Context(), r.officeCall(t, strings.Replace(recordedParent, ", data:", ", immutable: true, data:", 1)))
	if n := strings.Count(r.log.String(), "recording a case"); n != 1 {
		t.Errorf("it logs the failure %d times:\n%s", n, r.log)
	}
	if err := os.Mkdir(r.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	r.record(t.Context(), r.officeCall(t, recordedParent))
	if files := r.files(t); len(files) != 1 {
		t.Errorf("with the folder back, it has recorded %v", files)
	}
	for range recordQueue + 3 { // More than wait are left out.
		r.take(r.officeCall(t, recordedParent))
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := newRecorder(recordFlags{dir: file, limit: 1}, r.installed, r.logger); err == nil || !strings.Contains(err.Error(), "--record: ") {
		t.Errorf("a file in place of the folder has the error %v", err)
	}
	if off, err := newRecorder(recordFlags{}, r.installed, r.logger); off != nil || err != nil {
		t.Errorf("without a folder, there is a recorder %v, %v", off, err)
	}
}

// TestRecordEnds writes nothing of a call that was looked at when the process ends, and what cannot
// be made a case takes no place of others.
func TestRecordEnds(t *testing.T) {
	r := newRecording(t, 1)
	ended, end := context.WithCancel(t.Context())
	end()
	r.record(ended, r.officeCall(t, recordedParent))
	failed := engine.Call{Definition: r.definitions["site"], Err: errors.New("it is down"), Request: handlers.ComposeRequest{
		Object: observedObject(t, "{apiVersion: v1, kind: Service, metadata: {name: one, namespace: a}}"),
	}}
	for range 2 {
		r.record(t.Context(), failed)
	}
	if files := r.files(t); len(files) != 0 {
		t.Errorf("it has recorded %v", files)
	}
	if n := strings.Count(r.log.String(), "not recording a call"); n != 1 {
		t.Errorf("it was tried %d times to make a case of it:\n%s", n, r.log)
	}
	if r.isFull("office") || r.isFull("site") {
		t.Error("what was not recorded takes a place")
	}
	r.record(t.Context(), r.officeCall(t, recordedParent))
	if files := r.files(t); len(files) != 1 || !r.isFull("office") {
		t.Errorf("it has recorded %v", files)
	}
}

// TestScopesOfRecordedObjects takes what was seen without a namespace for a kind without one.
func TestScopesOfRecordedObjects(t *testing.T) {
	custom := func(kind, namespace string) map[string]any {
		return map[string]any{"apiVersion": "example.com/v1", "kind": kind, "metadata": map[string]any{"name": "a", "namespace": namespace}}
	}
	in := recordedInput{
		parent: custom("Realm", ""), children: map[string]map[string]any{"site": custom("Site", "a"), "realm": custom("Realm", "")},
		related: []map[string]any{{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": "a"}}},
	}
	found := in.scopes()
	if len(found) != 1 || found[0].Kind != "Realm" || found[0].Namespaced {
		t.Errorf("found %v, want Realm alone, without namespaces", found)
	}
}

// TestShape tells calls apart by what is set in them.
func TestShape(t *testing.T) {
	shape := func(text string) string {
		var value any
		if err := json.Unmarshal([]byte(text), &value); err != nil {
			t.Fatal(err)
		}
		out, err := json.Marshal(shapeOfValue(value))
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	for text, want := range map[string]string{
		`{"a": 1, "b": "x", "c": null}`:                `{"a":null,"b":null,"c":null}`,
		`{"a": true, "b": [1, 2, {"c": 1}, {"c": 2}]}`: `{"a":true,"b":[null,{"c":null}]}`,
		`{"a": false, "b": []}`:                        `{"a":false,"b":[]}`,
	} {
		if got := shape(text); got != want {
			t.Errorf("the shape of %s is %s, want %s", text, got, want)
		}
	}
}
