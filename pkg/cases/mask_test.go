package cases_test

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kooperd.dev/kooperd/pkg/cases"
)

func object(t *testing.T, text string) map[string]any {
	t.Helper()
	var o map[string]any
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		t.Fatal(err)
	}
	return o
}

// TestMask takes values of a Secret out of all that quotes them, always by the same text.
func TestMask(t *testing.T) {
	encode := func(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }
	secret := object(t, `{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "password-1", "namespace": "team-a"},
		"data": {"password": "`+encode("hunter-2000\n")+`", "short": "`+encode("abc")+`", "again": "`+encode("hunter-2000\n")+`", "quote": "`+encode("a \"b\" <c>")+`"}}`)
	other := object(t, `{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "hunter-2000", "annotations": {"note": "it is hunter-2000!"}},
		"data": {"a": "x`+encode("hunter-2000")+`y", "hunter-2000": "abc", "json": "{\"p\":\"a \\\"b\\\" \\u003cc\\u003e\"}"}}`)
	mask := &cases.Mask{}
	mask.Add(secret)
	mask.Add(other)
	want := object(t, `{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "password-1", "namespace": "team-a"},
		"data": {"password": "`+encode("masked-1")+`", "short": "`+encode("masked-3")+`", "again": "`+encode("masked-1")+`", "quote": "`+encode("masked-2")+`"}}`)
	if diff := cmp.Diff(want, mask.Object(secret)); diff != "" {
		t.Errorf("the Secret becomes something else (-want +got):\n%s", diff)
	}
	want = object(t, `{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "hunter-2000", "annotations": {"note": "it is masked-1!"}},
		"data": {"a": "x`+encode("masked-1")+`y", "masked-1": "abc", "json": "{\"p\":\"masked-2\"}"}}`)
	if diff := cmp.Diff(want, mask.Object(other)); diff != "" {
		t.Errorf("the other object becomes something else (-want +got):\n%s", diff)
	}
}

// TestRedact leaves out what a definition has put into Secrets from elsewhere, and finds it in
// other objects.
func TestRedact(t *testing.T) {
	outcome := func(line string) cases.Outcome {
		return cases.Outcome{cases.Children: map[string]any{
			"s": object(t, `{"apiVersion": "v1", "kind": "Secret", "data": {"token": "dG9rZW4tb2YtZW52", "copy": "bWFza2VkLTE=", "part": "dXNlcjptYXNrZWQtMQ==", "new": "<generated>"}}`),
			"c": object(t, `{"apiVersion": "v1", "kind": "ConfigMap", "data": {"line": "`+line+`"}}`),
		}}
	}
	if cases.Redact(outcome("with token-of-env")) {
		t.Error("a value of a Secret stays in another object")
	}
	good := outcome("without")
	if !cases.Redact(good) {
		t.Error("an outcome without such a value is refused")
	}
	text, err := json.Marshal(good)
	if err != nil || strings.Contains(string(text), "dG9rZW4tb2YtZW52") || strings.Contains(string(text), "dXNlcjptYXNrZWQtMQ==") || !strings.Contains(string(text), "bWFza2VkLTE=") {
		t.Errorf("it becomes %s, %v", text, err)
	}
	if differences := cases.Compare(good, outcome("without")); len(differences) > 0 {
		t.Errorf("what is left out differs: %v", differences)
	}
	if differences := cases.Compare(cases.Update(good, outcome("without")), good); len(differences) > 0 {
		t.Errorf("an update writes what was left out: %v", differences)
	}
}
