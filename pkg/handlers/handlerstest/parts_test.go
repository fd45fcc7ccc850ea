package handlerstest_test

import (
	"errors"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/handlers/handlerstest"
)

func TestObject(t *testing.T) {
	tests := map[string]any{
		"yaml":  "apiVersion: v1\nkind: Pod\nmetadata:\n  namespace: a\n  name: b\n",
		"json":  []byte(`{"apiVersion":"v1","kind":"Pod","metadata":{"namespace":"a","name":"b"}}`),
		"typed": &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "b"}},
	}
	for name, in := range tests {
		t.Run(name, func(t *testing.T) {
			o := handlerstest.Object(t, in)
			got := []string{o.GroupVersionKind().String(), o.Namespace(), o.Name()}
			if diff := cmp.Diff([]string{"/v1, Kind=Pod", "a", "b"}, got); diff != "" {
				t.Errorf("object (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLister(t *testing.T) {
	pod := func(namespace, name, app string) handlers.Object {
		return handlerstest.Object(t, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: name, Labels: map[string]string{"app": app},
		}})
	}
	l := handlerstest.Lister{pod("a", "1", "web"), pod("a", "2", "db"), pod("b", "1", "web")}
	web := labels.SelectorFromSet(labels.Set{"app": "web"})
	tests := map[string]struct {
		got  []handlers.Object
		want []string
	}{
		"all":           {l.List("", nil), []string{"a/1", "a/2", "b/1"}},
		"namespace":     {l.List("a", nil), []string{"a/1", "a/2"}},
		"selector":      {l.List("", web), []string{"a/1", "b/1"}},
		"both":          {l.List("b", web), []string{"b/1"}},
		"nothing found": {l.List("c", nil), nil},
	}
	for name, tc := range tests {
		var got []string
		for _, o := range tc.got {
			got = append(got, o.Namespace()+"/"+o.Name())
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if o, ok := l.Get("b", "1"); !ok || o.Namespace() != "b" {
		t.Errorf("Get = %v, %v", o, ok)
	}
	if _, ok := l.Get("b", "2"); ok {
		t.Error("Get found an object that is not there")
	}
}

func TestLogsAndEvents(t *testing.T) {
	logs, recorder := handlerstest.NewLogs(t), &handlerstest.Recorder{}
	logger := logs.Logger().WithValues("controller", "c").WithName("ignored")
	cause := errors.New("broken")
	logger.V(2).Info("one", "n", 1)
	logger.WithValues("k", "v").Error(cause, "two", "odd")
	recorder.Eventf(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "b"}}, nil, "Normal", "R", "A", "n=%d", 1)
	want := []handlerstest.LogEntry{
		{Level: 2, Message: "one", Values: map[string]any{"controller": "c", "n": 1}},
		{Message: "two", Err: cause, Values: map[string]any{"controller": "c", "k": "v", "!missing value of": "odd"}},
	}
	if diff := cmp.Diff(want, logs.Entries(), cmpopts.EquateErrors()); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]handlerstest.Event{{Regarding: " a/b", Type: "Normal", Reason: "R", Action: "A", Note: "n=1"}}, recorder.Events()); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestLogsTakeLinesAfterTheTest(t *testing.T) {
	var logs *handlerstest.Logs
	t.Run("inner", func(t *testing.T) { logs = handlerstest.NewLogs(t) })
	var wg sync.WaitGroup
	wg.Go(func() { logs.Logger().Info("late") })
	wg.Wait()
	if n := len(logs.Entries()); n != 1 {
		t.Errorf("%d entries, want 1", n)
	}
}

func TestNewUsesTheHandlerAsTheEngineDoes(t *testing.T) {
	plugin := good(nothing)
	plugin.New = newWorker
	var made handlers.Handler
	t.Run("one test", func(t *testing.T) {
		made = handlerstest.New(t, plugin, `{}`, func(env *handlers.Env) { env.Definition = "workers" })
		o := handlerstest.Object(t, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "a"}})
		if _, err := made.Handle(t.Context(), handlers.Request{Object: o}); err != nil {
			t.Error(err)
		}
	})
	if w, ok := made.(*worker); !ok {
		t.Errorf("the handler is a %T", made)
	} else if _, open := <-w.jobs; open {
		t.Error("the handler has not been closed at the end of the test")
	}
}

func TestProblems(t *testing.T) {
	plugin := good(nothing)
	want := []handlers.Problem{{Path: "text", Message: "is empty"}}
	plugin.Validate = func(s *settings) []handlers.Problem {
		if s.Text == "" {
			return want
		}
		return nil
	}
	if diff := cmp.Diff(want, handlerstest.Problems(t, plugin, `{}`)); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
	if bound := handlerstest.Bind(t, plugin, `{"text":"x"}`); bound.Plugin() != "sample" {
		t.Errorf("bound %q", bound.Plugin())
	}
}
