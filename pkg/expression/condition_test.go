package expression_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/expression"
)

func language(t testing.TB) *expression.Language {
	t.Helper()
	l, err := expression.NewLanguage()
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestCompileMistakes(t *testing.T) {
	const variables = "there are the variables object and oldObject, and the functions of CEL"
	tests := map[string]expression.Mistakes{
		"":                                       {{Message: "is empty", Hint: `write it as in "object.spec.replicas > 1"`}},
		" \n":                                    {{Message: "is empty", Hint: `write it as in "object.spec.replicas > 1"`}},
		"object.x ==":                            {{Offset: 11, Message: "not a CEL expression: it ends too early"}},
		"object.x = 1 || object.y = 2":           {{Offset: 9, Message: "not a CEL expression: unexpected '= '", Hint: "compare with =="}, {Offset: 25, Message: "not a CEL expression: unexpected '= '", Hint: "compare with =="}},
		"object.x = 1":                           {{Offset: 9, Message: "not a CEL expression: unexpected '= '", Hint: "compare with =="}},
		"object.a and object.b":                  {{Offset: 9, Message: "not a CEL expression: unexpected 'and'", Hint: "write &&"}},
		"object.a & object.b":                    {{Offset: 9, Message: "not a CEL expression: unexpected '& '", Hint: "write &&"}},
		"object.a == 'x":                         {{Offset: 12, Message: "not a CEL expression: the text after ' is not closed"}},
		"object.l.sortBy(x)[0] == 1":             {{Offset: 15, Message: "sortBy() wants a variable and an expression", Hint: "write it as in list.sortBy(x, x.name)"}},
		"cel.bind(x, 1)":                         {{Message: "cel.bind() wants a variable, its value and an expression", Hint: "write it as in cel.bind(x, object.spec.replicas, x * x)"}},
		"math.grater(1, 2) == 2":                 {{Message: "there is no function math.grater"}},
		"sets.size([1]) == 2":                    {{Message: "there is no function sets.size"}},
		"[1].all(math, math.x(1))":               {{Offset: 20, Message: "there is no variable or function x", Hint: variables}},
		"object.x.find('[') == ''":               {{Offset: 14, Message: `"[" is not a regular expression`}},
		"regex.replace(object.x, '(', '') == ''": {{Offset: 24, Message: `"(" is not a regular expression`}},
		"quantity('1Gx').isLessThan(quantity('1'))": {{Offset: 9, Message: `"1Gx" is not a quantity`, Hint: `write it as in quantity("500m")`}},
		"semver('v1').major() == 1":                 {{Offset: 7, Message: `"v1" is not a semantic version`, Hint: `write it as in semver("1.2.3")`}},
		"ip('10.0.0') == ip(object.x)":              {{Offset: 3, Message: `"10.0.0" is not an IP address`, Hint: `write it as in ip("192.0.2.1")`}},
		"cidr('10.0.0.1').containsIP(object.x)":     {{Offset: 5, Message: `"10.0.0.1" is not a network`, Hint: `write it as in cidr("10.0.0.0/8")`}},
		"url('x').getHost() == ''":                  {{Offset: 4, Message: `"x" is not a URL`, Hint: `write it as in url("https://example.com/")`}},
		"quantity('1') > 1":                         {{Offset: 14, Message: `quantity("1") is a parsed quantity and 1 is a number: > cannot compare them`}},
		"quantity('1')":                             {{Message: "want true or false, have a value of type kubernetes.Quantity", Hint: `write it as in "object.spec.replicas > 1"`}},
		"object.all(x)":                             {{Offset: 10, Message: "all() wants a variable and an expression", Hint: "write it as in list.all(x, x > 0)"}},
		"object.all(x, w, v, x) && y":               {{Offset: 10, Message: "all() wants a variable and an expression", Hint: "write it as in list.all(x, x > 0)"}, {Offset: 26, Message: "there is no variable or function y", Hint: variables}},
		"has(object.a, object.b)":                   {{Offset: 3, Message: "has() wants one field", Hint: "write it as in has(object.spec.replicas)"}},
		"object.l.exist(c, c.x || d)":               {{Offset: 14, Message: "there is no variable or function exist", Hint: variables}, {Offset: 25, Message: "there is no variable or function d", Hint: variables}},
		"a b":                                       {{Offset: 2, Message: "not a CEL expression: unexpected 'b'"}},
		"(object.x":                                 {{Offset: 9, Message: "not a CEL expression: missing ')' at the end"}},
		"has(object)":                               {{Offset: 4, Message: "not a CEL expression: invalid argument to has() macro"}},
		"foo == 1 && bar":                           {{Message: "there is no variable or function foo", Hint: variables}, {Offset: 12, Message: "there is no variable or function bar", Hint: variables}},
		"object.name.startWith('x')":                {{Offset: 21, Message: "there is no variable or function startWith", Hint: variables}},
		"1 + 1":                                     {{Message: "want true or false, have a value of type int", Hint: `write it as in "object.spec.replicas > 1"`}},
		"object.x + 1":                              {{Message: "want true or false, have a value of type int", Hint: `write it as in "object.spec.replicas > 1"`}},
		"'a' == 1":                                  {{Offset: 4, Message: `"a" is a string and 1 is a number: they are never equal`}},
		"'ü' == object.x && 1":                      {{Offset: 19, Message: "want true or false, but 1 is a number"}},
		"object.x.matches('[')":                     {{Offset: 17, Message: `"[" is not a regular expression`}},
		"duration('x') > duration(1)":               {{Offset: 9, Message: `"x" is not a duration`, Hint: `write it as in duration("1h30m")`}, {Offset: 24, Message: "duration() does not take 1, a number"}},
		"\n\nobject.x\n  && oldobject":              {{Offset: 16, Message: "there is no variable or function oldobject", Hint: variables}},
	}
	l := language(t)
	for text, want := range tests {
		t.Run(text, func(t *testing.T) {
			_, err := l.Condition(text, schema.GroupVersionKind{})
			var have expression.Mistakes
			if !errors.As(err, &have) {
				t.Fatalf("Condition returned %v, want Mistakes", err)
			}
			if diff := cmp.Diff(want, have, cmpopts.IgnoreFields(expression.Mistake{}, "Unknown", "Known")); diff != "" {
				t.Errorf("(-want +have):\n%s", diff)
			}
		})
	}
}

func TestHolds(t *testing.T) {
	object := map[string]any{
		"metadata": map[string]any{"name": "a", "labels": map[string]any{"app": "web"}},
		"text":     strings.Repeat("x", 4<<20),
		"spec":     map[string]any{"replicas": int64(3), "ports": []any{map[string]any{"port": int64(80)}}, "ratio": 0.5},
	}
	old := map[string]any{
		"metadata": map[string]any{"name": "a"},
		"spec":     map[string]any{"replicas": int64(2)},
	}
	tests := map[string]struct {
		old  map[string]any
		want bool
		fail string
	}{
		"object.spec.replicas > oldObject.spec.replicas":     {old: old, want: true},
		"object.spec.replicas + 1 == 4":                      {want: true},
		"object.spec.ratio < 1":                              {want: true},
		"object.spec == oldObject.spec":                      {old: old},
		"object == object":                                   {want: true},
		"oldObject == null":                                  {want: true},
		"oldObject == null || object.spec != oldObject.spec": {want: true},
		"object.spec != oldObject.spec":                      {fail: "no such key: spec"},
		"has(oldObject.spec)":                                {},
		"has(oldObject.metadata.labels)":                     {old: old},
		"object.?status.?phase.orValue('none') == 'none'":    {want: true},
		"object.status.phase == 'Running'":                   {fail: "no such key: status"},
		"object.spec.ports.exists(p, p.port == 80)":          {want: true},
		"'app' in object.metadata.labels":                    {want: true},
		"object.metadata.labels.app.upperAscii() == 'WEB'":   {want: true},
		"object.metadata.name":                               {fail: "want true or false, have a value of type string"},
		"object.text.contains('y')":                          {fail: "cost limit exceeded"},
	}
	l := language(t)
	for text, tc := range tests {
		t.Run(text, func(t *testing.T) {
			c, err := l.Condition(text, schema.GroupVersionKind{})
			if err != nil {
				t.Fatal(err)
			}
			have, err := c.Holds(t.Context(), object, tc.old)
			switch {
			case tc.fail == "" && err != nil:
				t.Fatal(err)
			case tc.fail != "" && (err == nil || !strings.Contains(err.Error(), tc.fail)):
				t.Fatalf("error is %v, want one with %q", err, tc.fail)
			case have != tc.want:
				t.Errorf("have %t, want %t", have, tc.want)
			}
		})
	}
}

// An evaluation that fails says which operator or function has failed, and where.
func TestHoldsFails(t *testing.T) {
	object := map[string]any{"n": int64(1), "s": "x", "m": map[string]any{}, "l": []any{int64(1), "x"}}
	l := language(t)
	for text, want := range map[string]string{
		"object.n > 'x'": `> in object.n > "x" at 1:10: no such overload`,
		"object.n == 2 ||\n  object.n + object.s": "+ in object.n + object.s at 2:12: no such overload",
		"object.l.exists(x, x < 'a')":             `< in x < "a" at 1:22: no such overload`,
		"size(object.n) > 1":                      "size in size(object.n) at 1:5: no such overload: size",
		"object.s.startsWith(object.n)":           "startsWith in object.s.startsWith(object.n) at 1:20: no such overload",
		"object.s == 'x' && object.nope == 1":     "object.nope at 1:26: no such key: nope",
		`object.m["nope"] == 1`:                   `object.m["nope"] at 1:9: no such key: nope`,
		"!object.s":                               "! in !object.s at 1:1: no such overload",
	} {
		c, err := l.Condition(text, schema.GroupVersionKind{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Holds(t.Context(), object, nil); err == nil || err.Error() != "evaluating where: "+want {
			t.Errorf("%s: error is %v, want %s", text, err, want)
		}
	}
}

func TestHoldsEndsWithItsContext(t *testing.T) {
	c, err := language(t).Condition("object.list.all(x, object.list.all(y, x >= 0))", schema.GroupVersionKind{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Holds(ctx, map[string]any{"list": slices.Repeat([]any{int64(1)}, 100_000)}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v, want the end of the context", err)
	}
}

// Expressions that would take long or much memory, by what stands in the object, end by their cost,
// and calls that nothing interrupts before they are made.
func TestHoldsEndsByItsCost(t *testing.T) {
	list := make([]any, 20_000)
	for i := range list {
		list[i] = map[string]any{"name": fmt.Sprint(i), "value": int64(i)}
	}
	object := map[string]any{"list": list, "short": list[:1000], "long": strings.Repeat("a", 2<<20), "half": strings.Repeat("a", 1<<20) + "b", "texts": slices.Repeat([]any{"x"}, 20_000), "large": "1e1000000000", "name": "web",
		"repeated": "^(a?){1000}$", "steps": strings.Repeat("(a?){1000}", 200)}
	some := make([]any, 200)
	for i := range some {
		some[i] = fmt.Sprintf("%03d", i)
	}
	l := language(t)
	for _, text := range []string{
		"object.list.all(x, x in object.list)",
		"object.long.indexOf(object.half) >= 0",
		"object.long.lastIndexOf(object.half, 1048576) >= 0",
		"object.long.replace('', object.long) == ''",
		"object.long.replace('a', object.half, 10) == ''",
		"object.texts.join(object.long) == ''",
		"object.short.map(x, object.long).join() == ''",
		"'%s%s'.format([object.long, object.long]) == ''",
		"object.long.matches('a*b')",
		"object.long.matches(object.half)",
		"matches(object.long, object.half)",
		"object.half.matches('^(a?){1000}$')",
		"matches(object.half, '^(a?){1000}$')",
		"object.half.matches(object.repeated)",
		"object.half.find(object.repeated) == ''",
		"object.name.matches(object.steps)",
		"object.short.distinct() == []",
		"object.list.distinct() == []",
		"sets.contains(object.short, object.short)",
		"sets.equivalent(object.list, object.list)",
		"lists.range(1000000) == []",
		"object.short.map(x, object.list).flatten() == []",
		"[0].map(x, [x, x]).map(x, [x, x]).map(x, [x, x]).map(x, [x, x]).map(x, [x, x]).map(x, [x, x]).map(x, [x, x]).map(x, [x, x]).map(x, [x, x]).map(x, [x, x]).map(x, [x, x]).map(x, [x, x]).map(x, [x, x]).map(x, [x, x]).map(x, [x, x]).map(x, [x, x]).map(x, [x, x]).flatten(100) == []",
		"object.short.map(x, object.list).includes(1)",
		"'%s'.format([object.short.map(x, object.long)]) == ''",
		"object.long.find(object.half) == ''",
		"object.long.findAll('(a|b)*c') == []",
		"regex.replace(object.half, 'a', object.half) == ''",
		"regex.extract(object.long, object.half).hasValue()",
		"quantity(object.large).isGreaterThan(quantity('1'))",
		"[object.long, object.long].map(x, x + x + x + x).map(x, x + x + x + x).map(x, x + x + x + x).map(x, x + x + x + x).size() == 2",
	} {
		t.Run(text, func(t *testing.T) {
			c, err := l.Condition(text, schema.GroupVersionKind{})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.Holds(t.Context(), object, nil); err == nil || !strings.Contains(err.Error(), "actual cost limit exceeded") {
				t.Errorf("error is %v, want the end of what it may cost", err)
			}
		})
	}
	for _, text := range []string{ // Rounds are charged for one by one, and end by that or by the time, whichever is first.
		"object.list.all(x, object.list.exists_one(y, x == y))",
		"object.list.map(x, object.list.filter(y, y != x)).size() > 0",
	} {
		c, err := l.Condition(text, schema.GroupVersionKind{})
		if err != nil {
			t.Fatal(err)
		}
		if holds, err := c.Holds(t.Context(), object, nil); err == nil {
			t.Errorf("%s: have %t, want the end of what it may take", text, holds)
		}
	}
	for _, text := range []string{
		"object.name.indexOf('web') == 1 && object.name.lastIndexOf('b', 3) == 3 && object.name.indexOf('z') == -1",
		"object.name.replace('web', 'db', 1) == 'adbc' && object.name.replace('b', '') == 'awec'",
		"object.some.distinct().size() == 200 && object.some.sort() == object.some && sets.contains(object.some, object.some)",
		"quantity('1e3') == quantity('1k') && !isQuantity('hello world') && isQuantity('5E') && dyn([1]).flatten() == [1]",
		"['a', 'b'].join() == 'ab' && ['a', 'b'].join(', ') == 'a, b' && '%s-%d'.format(['a', 1]) == 'a-1'",
	} {
		c, err := l.Condition(text, schema.GroupVersionKind{})
		if err != nil {
			t.Fatal(err)
		}
		if holds, err := c.Holds(t.Context(), map[string]any{"name": "awebc", "some": some}, nil); err != nil || !holds {
			t.Errorf("%s: have %t, %v, want true", text, holds, err)
		}
	}
}

// Hostile expressions are refused, in bounded time and without a panic.
func TestCompileHostile(t *testing.T) {
	l := language(t)
	for name, text := range map[string]string{
		"parentheses": strings.Repeat("(", 50_000), "lists": strings.Repeat("[", 50_000),
		"too long": strings.Repeat("true || ", 100_000) + "true", "selections": "object" + strings.Repeat(".a", 40_000) + "== 1",
		"ternaries": strings.Repeat("true ? ", 20_000), "control": "object.\x00 == 1",
		"macros": strings.Repeat("[1].all(x, ", 5_000), "calls": strings.Repeat("size(", 20_000),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := l.Condition(text, schema.GroupVersionKind{})
			var ms expression.Mistakes
			if !errors.As(err, &ms) || len(ms[0].Message) > 1000 {
				t.Errorf("Condition returned %.2000v, want a short mistake", err)
			}
		})
	}
}

// A condition that names oldObject is about changes, wherever it does.
func TestIsAboutChanges(t *testing.T) {
	for text, want := range map[string]bool{
		"object.spec.on": false,
		"has(object.metadata.labels) && object.spec.n > 1": false,
		"oldObject == null":                                   true,
		"null != oldObject && object.spec.on":                 true,
		"object.spec != oldObject.spec":                       true,
		"has(oldObject.spec.x)":                               true,
		"object.items.exists(i, i == oldObject.name)":         true,
		"object.items.exists(oldObject, oldObject.name == 1)": false,
		"[object, oldObject].size() == 2":                     true,
	} {
		c, err := language(t).Condition(text, schema.GroupVersionKind{})
		if err != nil {
			t.Fatal(err)
		}
		if c.IsAboutChanges() != want {
			t.Errorf("%s is about changes: %t, want %t", text, c.IsAboutChanges(), want)
		}
	}
}
