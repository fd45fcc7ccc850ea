package language

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// decode reads one definition with the given fields.
func decode(t *testing.T, fields string) *Controller {
	t.Helper()
	f, err := Decode([]byte(`{"apiVersion": "kooperd.dev/v1alpha1", "controllers": {"a": {` + fields + `}}}`))
	if err != nil {
		t.Fatal(err)
	}
	return f.Controllers["a"]
}

func TestDecodeRetryCount(t *testing.T) {
	for fields, want := range map[string]Retry{
		``:                                     {MaxRetries: unlimited, InitialDelay: "5ms", MaxDelay: "5m"},
		`"retry": {"maxRetries": "unlimited"}`: {MaxRetries: unlimited, InitialDelay: "5ms", MaxDelay: "5m"},
		`"retry": {"maxRetries": 0}`:           {MaxRetries: 0, InitialDelay: "5ms", MaxDelay: "5m"},
		`"retry": {"maxRetries": 7}`:           {MaxRetries: 7, InitialDelay: "5ms", MaxDelay: "5m"},
		`"retry": {"maxDelay": "1h"}`:          {MaxRetries: unlimited, InitialDelay: "5ms", MaxDelay: "1h"},
		`"retry": {}, "timeout": "3s"`:         {MaxRetries: unlimited, InitialDelay: "5ms", MaxDelay: "5m"},
	} {
		have := decode(t, fields).Retry
		if have != want {
			t.Errorf("%s: %+v, want %+v", fields, have, want)
		}
		text, err := json.Marshal(have.MaxRetries)
		if word := string(text) == `"unlimited"`; err != nil || word != (want.MaxRetries == unlimited) {
			t.Errorf("%s is written as %s (%v)", fields, text, err)
		}
	}
}

// TestDecodeSelector wants each form written as it was read.
func TestDecodeSelector(t *testing.T) {
	for text, want := range map[string]Selector{
		`"app=web,tier in (a,b)"`:         {Text: "app=web,tier in (a,b)"},
		`""`:                              {},
		`{}`:                              {Object: &SelectorFields{}},
		`{"matchLabels":{"app":"web"}}`:   {Object: &SelectorFields{MatchLabels: map[string]string{"app": "web"}}},
		`{"matchFields":{"a.b":"\"c\""}}`: {Object: &SelectorFields{MatchFields: map[string]string{"a.b": `"c"`}}},
		`{"matchExpressions":[{"key":"tier","operator":"In","values":["a","b"]},{"key":"x","operator":"Exists"}]}`: {
			Object: &SelectorFields{MatchExpressions: []Requirement{
				{Key: "tier", Operator: "In", Values: []string{"a", "b"}}, {Key: "x", Operator: "Exists"},
			}},
		},
	} {
		have := decode(t, `"watch": {"labelSelector": `+text+`}`).Watch.LabelSelector
		if diff := cmp.Diff(&want, have); diff != "" {
			t.Errorf("%s (-want +have):\n%s", text, diff)
		}
		if written, err := json.Marshal(have); err != nil || string(written) != text {
			t.Errorf("%s is written as %s (%v)", text, written, err)
		}
	}
}

func TestDecodeLeaderElection(t *testing.T) {
	defaults := defaultFile().LeaderElection.Fields
	other := defaults
	other.Name, other.Namespace = "other", "system"
	for text, want := range map[string]LeaderElection{
		`{}`:                             {Fields: defaults},
		`{"leaderElection": "disabled"}`: {Disabled: true, Fields: defaults},
		`{"leaderElection": {"name": "other", "namespace": "system"}}`: {Fields: other},
	} {
		f, err := Decode([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if f.LeaderElection != want {
			t.Errorf("%s: %+v, want %+v", text, f.LeaderElection, want)
		}
	}
}

// TestDecodeIsStrict has a field that is not in the types at each place where decoding begins anew.
func TestDecodeIsStrict(t *testing.T) {
	for _, text := range []string{
		`{"extra": 1}`,
		`{"engine": {"extra": 1}}`,
		`{"leaderElection": {"extra": 1}}`,
		`{"controllers": {"a": {"extra": 1}}}`,
		`{"controllers": {"a": {"retry": {"extra": 1}}}}`,
		`{"controllers": {"a": {"watch": {"labelSelector": {"extra": 1}}}}}`,
		`{"controllers": {"a": {"watch": {"labelSelector": {"matchExpressions": [{"extra": 1}]}}}}}`,
	} {
		if _, err := Decode([]byte(text)); err == nil || !strings.Contains(err.Error(), `unknown field "extra"`) {
			t.Errorf("%s: %v, want an error about the field", text, err)
		}
	}
}
