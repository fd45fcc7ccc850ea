package apply

import (
	"encoding/json"
	"errors"
	"sync"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"kooperd.dev/kooperd/pkg/expression"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/handlers/handlerstest"
)

// Everything is compiled before the first call: what a call does, the generation of values and the
// question whether a child is ready included, goes without a language.
func TestComposeCompilesNothing(t *testing.T) {
	var config Config
	if err := json.Unmarshal([]byte(`{"children": {
		"a": {"forEach": "object.spec.l", "includeWhen": "item != 'c'", "readyWhen": "self.metadata.name == item",
			"template": {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "${name(object.metadata.name, item)}"}, "data": {"n": "${item.find('[a-z]')}"}}},
		"b": {"update": "createOnly", "template": {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"p": "${generate.password(32)}"}}}},
		"status": {"n": "${object.spec.l.size()}"}, "conditions": {"Fit": {"when": "object.spec.l.size() < 3", "message": "${object.spec.l.join(', ')}"}}}`), &config); err != nil {
		t.Fatal(err)
	}
	program, problems, err := compile(&config, handlers.Kinds{})
	if err != nil || len(problems) > 0 {
		t.Fatal(err, problems)
	}
	languages := []*func() (*expression.Language, error){&theLanguage, &generatingLanguage}
	for _, l := range languages {
		before := *l
		t.Cleanup(func() { *l = before })
		*l = sync.OnceValues(func() (*expression.Language, error) {
			t.Error("a call asks for a language, which is there to compile")
			return nil, errors.New("there is none")
		})
	}
	parent := handlerstest.Object(t, `{"apiVersion": "e.com/v1", "kind": "T", "metadata": {"name": "m", "uid": "1"}, "spec": {"l": ["a", "b", "c"]}}`)
	for range 2 {
		composition, err := composer{program}.Compose(t.Context(), handlers.ComposeRequest{Object: parent})
		if err != nil || len(composition.Children) != 3 || len(composition.Problems) > 0 {
			t.Fatal(err, composition.Problems)
		}
		for _, child := range composition.Children {
			made := child.Object.(*unstructured.Unstructured).DeepCopy()
			if child.Generate != nil {
				if err := child.Generate(t.Context(), made); err != nil {
					t.Error(err)
				}
			}
			if child.Policy.Ready != nil {
				if ready, why := child.Policy.Ready(handlerstest.Object(t, made)); ready {
					t.Errorf("it is ready: %s", why)
				}
			}
		}
	}
}
