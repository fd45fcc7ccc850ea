package trigger_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/expression"
	"kooperd.dev/kooperd/pkg/trigger"
)

var (
	podKind    = corev1.SchemeGroupVersion.WithKind("Pod")
	widgetKind = schema.GroupVersionKind{Group: "example.com", Version: "v1", Kind: "Widget"}
)

func TestFilterMistakes(t *testing.T) {
	where := "object.spec.nodeNam == '' || object.spec.hostname"
	ignore := []string{"status", "a..b", "staus", "status.phase", "metadata.deletionTimestamp", "status"}
	f, err := new(trigger.Compiler).Filter(podKind, ignore, &where)
	var wrong *trigger.FilterError
	if f != nil || !errors.As(err, &wrong) {
		t.Fatalf("have %v, %v, want a FilterError", f, err)
	}
	have := make([]string, len(ignore))
	for i, m := range wrong.Ignore {
		if m != nil {
			have[i] = m.Error()
		}
	}
	want := []string{
		"", `"a..b" is not the path of a field: a name is missing at a dot`, "Pod: there is no field staus",
		`"status.phase" is ignored already, by "status" at [0]`,
		"a change that sets metadata.deletionTimestamp calls the handler in any case",
		`"status" is there twice, first at [0]`,
	}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("ignore (-want +have):\n%s", diff)
	}
	const text = "Pod: there is no field spec.nodeNam; Pod: want true or false, but spec.hostname is a string"
	if wrong.Where.Error() != text {
		t.Errorf("where: %s, want %s", wrong.Where, text)
	}
}

func TestFilter(t *testing.T) {
	var compiler trigger.Compiler
	none, err := compiler.Filter(podKind, nil, nil)
	if err != nil || none != nil {
		t.Errorf("without texts there is a filter: %v, %v", none, err)
	}
	if none.Ignored() != nil || none.Where() != nil || none.Reads() != nil || !none.MetadataOnly() {
		t.Error("no filter decides on something")
	}
	where := "object.metadata.labels.app == object.spec.nodeName"
	f, err := compiler.Filter(podKind, []string{`metadata.annotations."a.b/c"`, "status"}, &where)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{`metadata.annotations."a.b/c"`, "status"}, f.Ignored().Texts()); diff != "" {
		t.Errorf("ignored (-want +have):\n%s", diff)
	}
	wantSteps := [][]expression.Step{{{Number: 1}, {Number: 11}}, {{Number: 2}, {Number: 10}}} // labels without the key
	if diff := cmp.Diff(wantSteps, f.Reads().Steps); diff != "" {
		t.Errorf("steps to what the condition reads (-want +have):\n%s", diff)
	}
	custom, err := compiler.Filter(widgetKind, []string{"anything.there"}, &where)
	if err != nil {
		t.Fatal(err)
	}
	if custom.Ignored().Steps != nil || custom.Reads().Steps != nil {
		t.Error("a custom kind has steps through protobuf")
	}
}
