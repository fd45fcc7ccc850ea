package compose

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"kooperd.dev/kooperd/pkg/handlers"
)

const canary = "canary-4711"

// redactorOf knows one Secret.
func redactorOf(data map[string]string) *redactor {
	s := &redactor{}
	secret := &corev1.Secret{StringData: data}
	s.addDesired(secret)
	return s
}

func TestClean(t *testing.T) {
	const key = "-----BEGIN KEY-----\nabcdefgh\n-----END KEY-----\n"
	s := redactorOf(map[string]string{"a": canary, "b": "short", "c": key, "d": `with "quotes" and \`, "e": "canary-4711-and-more\n"})
	for text, want := range map[string]string{
		"nothing of it": "nothing of it",
		"":              "",
		"it is short":   "it is short",
		"it is " + canary + ", and again " + canary: "it is [REDACTED], and again [REDACTED]",
		canary:                                   "[REDACTED]",
		"user:" + canary + "@host":               "user:[REDACTED]@host",
		"the longer one is canary-4711-and-more": "the longer one is [REDACTED]",
		"base64 " + base64.StdEncoding.EncodeToString([]byte(canary)) + " it":                 "base64 [REDACTED] it",
		"base64 of a file " + base64.StdEncoding.EncodeToString([]byte(key)):                  "base64 of a file [REDACTED]",
		fmt.Sprintf("quoted %q", key):                                                         `quoted "[REDACTED]"`,
		"a line: abcdefgh":                                                                    "a line: [REDACTED]",
		fmt.Sprintf("quoted %q", `with "quotes" and \`):                                       `quoted "[REDACTED]"`,
		`{"text": "with \"quotes\" and \\"}`:                                                  `{"text": "[REDACTED]"}`,
		"two that touch: " + canary + "abcdefgh":                                              "two that touch: [REDACTED]",
		"cut off: canary-4…":                                                                  "cut off: [REDACTED]…",
		"cut off too early: canar…":                                                           "cut off too early: canar…",
		`cut off in the middle: "canary-4"…, which is wrong`:                                  `cut off in the middle: "[REDACTED]"…, which is wrong`,
		"cut on both sides: canary-…y-4711 and more":                                          "cut on both sides: [REDACTED]…[REDACTED] and more",
		fmt.Sprintf("quoted %q", `{"text": "with \"quotes\" and \\"}`):                        `quoted "{\"text\": \"[REDACTED]\"}"`,
		"the mark itself: " + redacted + " and " + strings.Repeat(canary, 2) + " " + redacted: "the mark itself: [REDACTED] and [REDACTED] [REDACTED]",
	} {
		if got := s.clean(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}

func TestCleanedErrorIsTheSame(t *testing.T) {
	s := redactorOf(map[string]string{"a": canary})
	err := s.cleanError(fmt.Errorf("saying %s: %w", canary, &slowError{err: errDamaged, delay: 7}))
	if strings.Contains(err.Error(), canary) || !errors.Is(err, errDamaged) {
		t.Errorf("error %v", err)
	}
	if slow, ok := errors.AsType[*slowError](err); !ok || slow.RetryAfter() != 7 {
		t.Error("the error does not say any more when to try again")
	}
	if plain := s.cleanError(errDamaged); plain != errDamaged { //nolint:errorlint // the very same
		t.Errorf("an error without a secret becomes %T", plain)
	}
}

// leaky is a composer with a Secret as a child, that quotes it, and one that it reads.
type leaky struct{ fail, panics bool }

func (l *leaky) Compose(ctx context.Context, req handlers.ComposeRequest) (handlers.Composition, error) {
	text := fmt.Sprintf("it is %s and %s", canary, base64.StdEncoding.EncodeToString([]byte(canary)))
	logr.FromContextOrDiscard(ctx).WithValues("values", text).Info(text, "text", text, "bytes", []byte(text), "list", []string{text}, "error", errors.New(text)) //nolint:err113 // it is quoted
	switch {
	case l.panics:
		panic(text)
	case l.fail:
		return handlers.Composition{}, errors.New(text) //nolint:err113 // it is quoted
	}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: req.Object.Name() + "-s"}, StringData: map[string]string{"key": canary}}
	return handlers.Composition{
		Children: []handlers.Child{{Name: "s", Object: secret, Policy: handlers.ChildPolicy{Ready: func(handlers.Object) (bool, string) { return false, text }}}},
		Status: map[string]any{"conditions": []any{
			map[string]any{"type": "Theirs", "status": "True", "reason": canary, "message": text},
		}},
	}, nil
}

// TestSecretsAreInNoText quotes a Secret in all ways there are.
func TestSecretsAreInNoText(t *testing.T) {
	composer := &leaky{}
	r := newRig(t, rigOptions{composer: composer, owns: []schema.GroupVersionKind{secretKind}})
	var out bytes.Buffer
	logger := funcr.New(func(prefix, args string) { out.WriteString(prefix + args + "\n") }, funcr.Options{Verbosity: 10})
	r.Logger = logger
	r.newWebsite("web", map[string]any{})
	handle := func() (err error) {
		defer func() {
			if v := recover(); v != nil {
				err = fmt.Errorf("panic: %v", v) //nolint:err113 // it is looked at
			}
		}()
		_, err = r.Handle(logr.NewContext(t.Context(), logger), handlers.Request{Object: r.parent("web"), Attempt: fewFailures})
		r.sync()
		return err
	}
	look := func(when string, wantErr bool, err error) {
		t.Helper()
		if (err != nil) != wantErr {
			t.Errorf("%s: error %v", when, err)
		}
		var status []byte
		r.server.do(func(c *cluster) {
			status, _ = json.Marshal(c.objects[idOf(websiteKind, "team-a", "web")].tree["status"])
		})
		texts := []string{fmt.Sprint(err), string(status), out.String(), strings.Join(r.recorded(), "\n")}
		for _, text := range texts {
			if strings.Contains(text, canary) || strings.Contains(text, base64.StdEncoding.EncodeToString([]byte(canary))) {
				t.Errorf("%s: there is a secret in %s", when, text)
			}
		}
		if !strings.Contains(strings.Join(texts, ""), redacted) {
			t.Errorf("%s: nothing is redacted in %v", when, texts)
		}
		out.Reset()
	}
	r.server.mu.Lock()
	r.server.answer = func(w http.ResponseWriter, asked request) bool {
		if asked.method != http.MethodPatch || !strings.Contains(asked.path, "secrets") {
			return false
		}
		sendError(w, apierrors.NewInvalid(secretKind.GroupKind(), "web-s", field.ErrorList{
			field.Invalid(field.NewPath("data"), canary, "it is none"),
		}))
		return true
	}
	r.server.mu.Unlock()
	out.Reset()
	err := handle()
	out.Reset() // Before the first answer, nothing was read: what the composer logs is its own.
	look("refused by the API server", true, err)
	r.server.mu.Lock()
	r.server.answer = nil
	r.server.mu.Unlock()
	err = handle()
	out.Reset()
	look("made", false, err)
	look("there", false, handle())
	composer.fail = true
	look("an error of the composer", true, handle())
	composer.panics = true
	look("a panic of the composer", true, handle())
}

// TestWhatAComposerRedacts has a composer that says what it uses, and quotes it.
func TestWhatAComposerRedacts(t *testing.T) {
	fail := false
	r := newRig(t, rigOptions{composer: handlers.ComposerFunc(func(ctx context.Context, _ handlers.ComposeRequest) (handlers.Composition, error) {
		handlers.Redact(ctx, handlers.NewSecretValue(canary))
		logr.FromContextOrDiscard(ctx).Info("asking", "by", canary)
		if fail {
			return handlers.Composition{}, errors.New("it is not " + canary) //nolint:err113 // it is quoted
		}
		return handlers.Composition{Status: map[string]any{"conditions": []any{
			map[string]any{"type": "Theirs", "status": "True", "reason": "Known", "message": "it is " + canary},
		}}}, nil
	})})
	r.newWebsite("web", map[string]any{})
	for _, fail = range []bool{false, true} {
		var out bytes.Buffer
		logger := funcr.New(func(prefix, args string) { out.WriteString(prefix + args + "\n") }, funcr.Options{})
		_, err := r.Handle(logr.NewContext(t.Context(), logger), handlers.Request{Object: r.parent("web"), Attempt: fewFailures})
		r.sync()
		text, _ := r.parent("web").JSON() // It is there.
		texts := []string{fmt.Sprint(err), string(text), out.String(), strings.Join(r.recorded(), "\n")}
		if all := strings.Join(texts, "\n"); strings.Contains(all, canary) || !strings.Contains(out.String(), redacted) || !strings.Contains(string(text), redacted) {
			t.Errorf("failing: %t: it says\n%s", fail, all)
		}
		if fail != (err != nil) {
			t.Errorf("failing: %t: the error is %v", fail, err)
		}
	}
}

// TestGenerateLogsNothingSecret has a child beside one that is generated, by code that logs.
func TestGenerateLogsNothingSecret(t *testing.T) {
	composer := handlers.ComposerFunc(func(_ context.Context, req handlers.ComposeRequest) (handlers.Composition, error) {
		secret := untyped(secretKind, "", req.Object.Name(), map[string]any{"stringData": map[string]any{"key": canary}})
		return handlers.Composition{Children: []handlers.Child{{
			Name: "s", Object: secret, Policy: handlers.ChildPolicy{Update: handlers.UpdateCreateOnly},
			Generate: func(ctx context.Context, _ *unstructured.Unstructured) error {
				logr.FromContextOrDiscard(ctx).Info("generating beside " + canary)
				return nil
			},
		}}}, nil
	})
	r := newRig(t, rigOptions{composer: composer, owns: []schema.GroupVersionKind{secretKind}})
	var out bytes.Buffer
	logger := funcr.New(func(prefix, args string) { out.WriteString(prefix + args + "\n") }, funcr.Options{})
	r.newWebsite("web", map[string]any{})
	if _, err := r.Handle(logr.NewContext(t.Context(), logger), handlers.Request{Object: r.parent("web")}); err != nil {
		t.Fatal(err)
	}
	if text := out.String(); strings.Contains(text, canary) || !strings.Contains(text, redacted) {
		t.Errorf("the log has %s", text)
	}
}

// TestANewerParentIsRedacted has a Secret as the parent, which changes during a pass.
func TestANewerParentIsRedacted(t *testing.T) {
	secret := func(value string) handlers.Object {
		s := &stored{kind: secretKind, uid: "u-1", version: "1", tree: map[string]any{
			"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": "web", "namespace": "team-a"},
			"data": map[string]any{"password": base64.StdEncoding.EncodeToString([]byte(value))},
		}}
		object, err := s.read(false)
		if err != nil {
			t.Fatal(err)
		}
		return object
	}
	c := &current{Reconciler: &Reconciler{}, secrets: &redactor{}}
	for _, value := range []string{"hunter22", "swordfish"} {
		c.setParent(secret(value))
	}
	if got := c.secrets.clean("was hunter22, is swordfish"); got != "was "+redacted+", is "+redacted {
		t.Errorf("cleaned: %s", got)
	}
}
