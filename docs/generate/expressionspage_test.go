package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"kooperd.dev/kooperd/pkg/expression"
	"kooperd.dev/kooperd/pkg/handlers/apply"
)

// TestExamplesOfExpressions evaluates the examples of the page. That there is one for each function
// of the language, expressionsPage itself sees to.
func TestExamplesOfExpressions(t *testing.T) {
	language, err := apply.Language()
	if err != nil {
		t.Fatal(err)
	}
	for _, group := range slices.Concat(operatorGroups, functionGroups, kubernetesGroups) {
		for _, c := range group.callables {
			for _, e := range c.examples {
				if have := evaluated(t, language, e.expression); have != e.result && e.result != anything {
					t.Errorf("%s makes %s, and its example says %s", e.expression, have, e.result)
				}
				if !strings.Contains(e.expression, strings.Trim(c.name, "?:[]")) {
					t.Errorf("%s: its example is %s", c.name, e.expression)
				}
			}
		}
	}
}

// evaluated returns what an expression makes, in JSON.
func evaluated(t *testing.T, language *expression.Language, text string) string {
	t.Helper()
	e, err := language.Compile(text, expression.Scope{}, expression.Want{})
	if err != nil {
		return err.Error()
	}
	result, err := e.Eval(t.Context(), nil)
	if err != nil {
		return err.Error()
	}
	value, present, err := expression.Value(result)
	switch {
	case err != nil:
		return err.Error()
	case !present:
		return nothing
	}
	made, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(made)
}

// TestExpressionsPageIsWhole wants a row for each function, with a text and an example, and no
// other.
func TestExpressionsPageIsWhole(t *testing.T) {
	if _, err := expressionsPage(nil); err != nil {
		t.Fatal(err)
	}
	all := &kubernetesGroups[0].callables
	whole := *all
	t.Cleanup(func() { *all = whole })
	for want, changed := range map[string][]callable{
		"describing find: say in calls_*.go what it does, with an example":             whole[1:],
		"describing fnd: expressions have no such function, or it is described twice":  {{name: "fnd"}},
		"describing find: expressions have no such function, or it is described twice": {whole[0], whole[0]},
		"describing find: it has no text, or no example":                               {{name: "find", text: "Finds."}},
	} {
		*all = changed
		if _, err := expressionsPage(nil); err == nil || err.Error() != want {
			t.Errorf("the error is %v, want %s", err, want)
		}
	}
}
