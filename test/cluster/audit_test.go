package cluster

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// eventsOf returns the events about one object.
func eventsOf(events []AuditEvent, namespace, name string) []AuditEvent {
	var found []AuditEvent
	for _, e := range events {
		if e.ObjectRef.Namespace == namespace && e.ObjectRef.Name == name {
			found = append(found, e)
		}
	}
	return found
}

func TestAuditTellsWhoWroteWhat(t *testing.T) {
	namespace := shared.Namespace(t)
	config := shared.ServiceAccount(t, namespace, "writer", InNamespace(namespace, Allow("create,get", "", "configmaps,secrets")))
	config.UserAgent = "the-agent"
	client := clientFor(t, config)
	mark := shared.AuditMark(t)
	ctx, name := t.Context(), metav1.ObjectMeta{Name: "written"}
	if _, err := client.CoreV1().ConfigMaps(namespace).Create(ctx, &corev1.ConfigMap{ObjectMeta: name, Data: map[string]string{"k": "v"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.CoreV1().Secrets(namespace).Create(ctx, &corev1.Secret{ObjectMeta: name}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.CoreV1().ConfigMaps(namespace).Get(ctx, "written", metav1.GetOptions{}); err != nil {
		t.Fatal(err)
	}

	events := eventsOf(shared.AuditSince(t, mark), namespace, "written")
	if len(events) != 3 {
		t.Fatalf("%d events, want 3: %+v", len(events), events)
	}
	write, secret, read := events[0], events[1], events[2]
	if write.Verb != "create" || !write.IsWrite() || write.ResponseStatus.Code != 201 || write.UserAgent != "the-agent" ||
		write.User.Username != "system:serviceaccount:"+namespace+":writer" || write.ObjectRef.Resource != "configmaps" {
		t.Errorf("event of the write is %+v", write)
	}
	if write.RequestReceived.IsZero() || write.Answered.Time.Before(write.RequestReceived.Time) {
		t.Errorf("times of the write are %s and %s", write.RequestReceived, write.Answered)
	}
	var body corev1.ConfigMap
	if err := json.Unmarshal(write.RequestObject, &body); err != nil || body.Data["k"] != "v" {
		t.Errorf("body of the write is %s, %v", write.RequestObject, err)
	}
	if secret.ObjectRef.Resource != "secrets" || len(secret.RequestObject) > 0 {
		t.Errorf("event of the Secret is %+v, want it without a body", secret)
	}
	if read.Verb != "get" || read.IsWrite() || len(read.RequestObject) > 0 {
		t.Errorf("event of the read is %+v", read)
	}
	if since := eventsOf(shared.AuditSince(t, shared.AuditMark(t)), namespace, "written"); len(since) > 0 {
		t.Errorf("%d events after the mark, want none", len(since))
	}
	if all := eventsOf(shared.Audit(t), namespace, "written"); len(all) != 3 {
		t.Errorf("%d events from the beginning, want 3", len(all))
	}
}

// TestReadAuditFromWithinALine begins at every byte of a log whose last line is being written.
func TestReadAuditFromWithinALine(t *testing.T) {
	const first, second = `{"verb":"get"}` + "\n", `{"verb":"list"}` + "\n"
	path := filepath.Join(t.TempDir(), "audit.log")
	if err := os.WriteFile(path, []byte(first+second+`{"verb":"wat`), 0o600); err != nil {
		t.Fatal(err)
	}
	for offset := range len(first + second) {
		events, err := readAudit(path, int64(offset))
		if err != nil {
			t.Fatalf("from byte %d: %v", offset, err)
		}
		var got []string
		for _, e := range events {
			got = append(got, e.Verb)
		}
		var want []string
		if offset == 0 {
			want = append(want, "get")
		}
		if offset <= len(first) {
			want = append(want, "list")
		}
		if !slices.Equal(got, want) {
			t.Errorf("from byte %d: %q, want %q", offset, got, want)
		}
	}
}

// TestReadAuditBehindATornLine has a line that was cut off when the API server was killed, behind
// which the next one has gone on.
func TestReadAuditBehindATornLine(t *testing.T) {
	const whole = `{"kind":"Event","verb":"list","user":{"username":"b"}}` + "\n"
	const torn = `{"kind":"Event","verb":"get","user":{"username":"a`
	path := filepath.Join(t.TempDir(), "audit.log")
	for cut := range len(torn) {
		if err := os.WriteFile(path, []byte(whole+torn[:cut]+whole), 0o600); err != nil {
			t.Fatal(err)
		}
		events, err := readAudit(path, 0)
		if err != nil || len(events) != 2 || events[1].Verb != "list" || events[1].User.Username != "b" {
			t.Fatalf("cut at byte %d: %+v, %v", cut, events, err)
		}
	}
	if err := os.WriteFile(path, []byte("rubbish\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if events, err := readAudit(path, 0); err == nil {
		t.Errorf("rubbish is read as %+v", events)
	}
}

// TestReadAuditThatMentions reads the lines of one namespace alone. One of them is longer than what
// is read at once, and one of another could not be parsed.
func TestReadAuditThatMentions(t *testing.T) {
	line := func(namespace, verb string, size int) string {
		return fmt.Sprintf(`{"kind":"Event","verb":%q,"objectRef":{"namespace":%q},"requestURI":%q}`+"\n", verb, namespace, strings.Repeat("x", size))
	}
	path := filepath.Join(t.TempDir(), "audit.log")
	log := line("a", "get", 1) + line("b", "get", 200_000) + "rubbish\n" + line("a", "list", 200_000) + line("a", "watch", 1)
	if err := os.WriteFile(path, []byte(log), 0o600); err != nil {
		t.Fatal(err)
	}
	for mentions, want := range map[string]string{"a": "get list watch", "a list": "list", "a b": "", "b": "get"} {
		var quoted []string
		for word := range strings.FieldsSeq(mentions) {
			quoted = append(quoted, `"`+word+`"`)
		}
		events, err := readAudit(path, 0, quoted...)
		var verbs []string
		for _, e := range events {
			verbs = append(verbs, e.Verb)
		}
		if got := strings.Join(verbs, " "); err != nil || got != want {
			t.Errorf("lines with %q: %q, %v, want %q", mentions, got, err, want)
		}
	}
}
