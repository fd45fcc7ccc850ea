package expression_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kooperd.dev/kooperd/pkg/expression"
)

// What the libraries of Kubernetes parse is no JSON: that is a mistake where the type is known, and
// an error where it is not. string() makes a text of it.
func TestParsedValues(t *testing.T) {
	l := language(t)
	value := func(text string, want expression.Want) (any, string) {
		e, err := l.Compile(text, expression.Scope{Variables: map[string]expression.Type{"object": nil}}, want)
		if ms := (expression.Mistakes)(nil); errors.As(err, &ms) {
			return nil, ms[0].Message + "; " + ms[0].Hint
		}
		if err != nil {
			t.Fatal(err)
		}
		result, err := e.Eval(t.Context(), map[string]any{"object": map[string]any{"t": "1.2.0", "u": "10.0.0.0/8", "f": 1.5}})
		if err != nil {
			return nil, err.Error()
		}
		made, _, err := expression.Value(result)
		if err != nil {
			return nil, err.Error()
		}
		return made, ""
	}
	for text, want := range map[string]struct {
		value any
		wrong string
	}{
		"semver(object.t)":                                                {wrong: "semver(object.t) is a semantic version, which is no JSON; write string(semver(object.t))"},
		"[quantity('1Gi')]":                                               {wrong: `[quantity("1Gi")] is a parsed quantity, which is no JSON; `},
		"format.named(object.t)":                                          {wrong: "format.named(object.t) is a format, which is no JSON; "},
		"format.dns1123Label()":                                           {wrong: "format.dns1123Label() is a format, which is no JSON; "},
		"duration('1m')":                                                  {wrong: `duration("1m") is a duration, which is no JSON; write string(duration("1m"))`},
		"object.t == '1' ? dyn(1) : cidr(object.u)":                       {wrong: "a network is no JSON: make a text of it with string()"},
		"string(object.t == '1' ? dyn(1) : ip('::1'))":                    {value: "::1"},
		"string(quantity('1Gi').sub(quantity('1Mi')))":                    {value: "1023Mi"},
		"string(url('https://a.example/?b=c'))":                           {value: "https://a.example/?b=c"},
		"string(semver(object.t))":                                        {value: "1.2.0"},
		"json.encode(semver(object.t))":                                   {wrong: "encode in json.encode(semver(object.t)) at 1:12: a semantic version is no JSON: make a text of it with string()"},
		"json.encode(optional.none())":                                    {wrong: "encode in json.encode(optional.none()) at 1:12: there is no value"},
		"json.encode({'z': 9007199254740993, 'a': '<b>', 'f': object.f})": {value: `{"a":"<b>","f":1.5,"z":9007199254740993}`},
	} {
		have, wrong := value(text, expression.WantValue("the value", nil))
		if diff := cmp.Diff(want.value, have); diff != "" || wrong != want.wrong {
			t.Errorf("%s: have %v, %s; want %v, %s", text, have, wrong, want.value, want.wrong)
		}
	}
	if _, wrong := value("ip(object.u)", expression.WantText()); wrong != "ip(object.u) is an IP address, which cannot stand within a text; write string(ip(object.u))" {
		t.Error(wrong)
	}
}

// The type of what is read of an object stands against the types of the functions.
func TestTypesOfLibraries(t *testing.T) {
	checkTypes(t, []typeTest{
		{podKind, "quantity(object.spec.containers[0].resources.requests.cpu).isGreaterThan(quantity('1'))", nil},
		{podKind, "object.spec.containers.map(c, c.name).sort()[0] == 'a'", nil},
		{podKind, "object.spec.containers.sum() == 1", []string{"12 Pod: spec.containers is a list and has no function sum"}},
		{podKind, "object.metadata.name.add(quantity('1')) == quantity('1')", []string{"16 Pod: metadata.name is a string and has no function add"}},
		{podKind, "quantity(object.metadata.generation) == quantity('1')", []string{"25 Pod: quantity() does not take metadata.generation, a number"}},
	})
}
