package apply_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/handlers"
)

// generated asks for one child, and returns it with what is known before, and twice with what it
// generates.
func generated(t *testing.T, template string) (before string, made [2]*unstructured.Unstructured) {
	t.Helper()
	c := composed{config: `children: {s: {update: createOnly, template: {apiVersion: e.com/v1, kind: Secret, metadata: {name: "${object.metadata.name}"}, ` + template + `}}}`}
	composition, err := c.ask(t)
	if err != nil {
		t.Fatal(err)
	}
	child := composition.Children[0]
	text, err := json.Marshal(child.Object)
	if err != nil || child.Policy.Update != handlers.UpdateCreateOnly {
		t.Fatalf("the policy is %s, %v", child.Policy.Update, err)
	}
	for i := range made {
		made[i] = child.Object.(*unstructured.Unstructured).DeepCopy()
		made[i].SetNamespace("web") // The runtime knows it.
		if err := child.Generate(t.Context(), made[i]); err != nil {
			t.Fatal(err)
		}
		if made[i].GetName() != "home" || made[i].GetNamespace() != "web" {
			t.Errorf("it is %s/%s now", made[i].GetNamespace(), made[i].GetName())
		}
	}
	return strings.TrimSpace(string(text)), made
}

func TestGenerate(t *testing.T) {
	const none = `{"apiVersion":"e.com/v1","kind":"Secret","metadata":{"name":"home"},"stringData":{}}`
	for expression, want := range map[string]string{
		`${generate.password(32)}`:                                       `^[A-Za-z0-9]{32}$`,
		`${generate.password(8, 'äb')}`:                                  `^[äb]{8}$`,
		`${generate.password(object.spec.replicas * 10)}`:                `^[A-Za-z0-9]{30}$`,
		`${generate.hex(16)}`:                                            `^[0-9a-f]{32}$`,
		`${generate.base64(32)}`:                                         `^[A-Za-z0-9+/]{43}=$`,
		`${generate.uuid()}`:                                             `^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`,
		`postgres://${object.metadata.name}:${generate.password(9)}@db/`: `^postgres://home:[A-Za-z0-9]{9}@db/$`,
	} {
		t.Run(expression, func(t *testing.T) {
			before, made := generated(t, `stringData: {a: "`+expression+`"}`)
			if before != none {
				t.Errorf("before, it is %s, want %s", before, none)
			}
			value := func(i int) string {
				text, _, _ := unstructured.NestedString(made[i].Object, "stringData", "a")
				return text
			}
			if !regexp.MustCompile(want).MatchString(value(0)) {
				t.Errorf("a value does not match %s", want)
			}
			if value(0) == value(1) && want != `^[äb]{8}$` {
				t.Error("two values are the same")
			}
		})
	}
}

// All that is not generated is there before, and entries of lists keep their places.
func TestGenerateIsTheRestOfTheTemplate(t *testing.T) {
	before, made := generated(t, `stringData: {user: "${object.metadata.name}", a: "${generate.uuid()}"}, list: ["1", "${generate.uuid()}", "3"]`)
	if want := `{"apiVersion":"e.com/v1","kind":"Secret","list":["1","3"],"metadata":{"name":"home"},"stringData":{"user":"home"}}`; before != want {
		t.Errorf("before, it is %s, want %s", before, want)
	}
	list, _, _ := unstructured.NestedStringSlice(made[0].Object, "list")
	user, _, _ := unstructured.NestedString(made[0].Object, "stringData", "user")
	if len(list) != 3 || list[0]+list[2]+user != "13home" {
		t.Errorf("user %q, the list has %d entries", user, len(list))
	}
}

// One value can stand in two fields.
func TestGenerateOnceForTwoFields(t *testing.T) {
	_, made := generated(t, `stringData: "${[generate.password(32)].map(p, {'password': p, 'url': 'postgres://app:' + p + '@db/'})[0]}"`)
	data, _, _ := unstructured.NestedStringMap(made[0].Object, "stringData")
	if len(data["password"]) != 32 || data["url"] != "postgres://app:"+data["password"]+"@db/" {
		t.Error("the values are not the same")
	}
}

// An expression that generates waits for what it reads, as any other, and its error says no value.
func TestGenerateFails(t *testing.T) {
	const config = `children: {s: {update: createOnly, template: {apiVersion: v1, kind: Secret, metadata: {name: m}, stringData: {a: "%"}}}, b: {template: {apiVersion: v1, kind: ConfigMap, metadata: {name: m}}}}`
	for expression, want := range map[string]string{
		`${generate.password(8) + children.b.data.k}`:       "pending: child s is waiting for child b: evaluating stringData.a: children.b.data.k at 1:39: no such key: b",
		`${generate.password(object.spec.replicas)}`:        "error: child s: evaluating stringData.a: password in generate.password(object.spec.replicas) at 1:18: want 8 to 256 characters",
		`${generate.password(object.spec.replicas*9, 'a')}`: "error: child s: evaluating stringData.a: password in generate.password(object.spec.replicas * 9, \"a\") at 1:18: the alphabet has 1 characters, want 2 to 256",
	} {
		composition, err := composed{config: strings.Replace(config, "%", expression, 1)}.ask(t)
		if have := lines(t, composition, err); !strings.Contains(strings.Join(have, "\n"), want) {
			t.Errorf("%s: have %q, want %q", expression, have, want)
		}
	}
	// It goes well with what stands for the value, and not with the value.
	composition, err := composed{config: strings.Replace(config, "%", "${string(int(generate.password(8, '01x') + string(object.spec.replicas)))}", 1)}.ask(t)
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		object := composition.Children[1].Object.(*unstructured.Unstructured).DeepCopy()
		if err := composition.Children[1].Generate(t.Context(), object); err != nil {
			if want := "evaluating stringData.a fails; why is left out, as it may have generated values"; err.Error() != want {
				t.Errorf("the error is not %q", want)
			}
			return
		}
	}
	t.Error("it never failed")
}

func TestMistakesInGenerate(t *testing.T) {
	template := func(update, name, value string) string {
		return `children: {s: {` + update + `template: {apiVersion: v1, kind: Secret, metadata: {name: "` + name + `"}, stringData: {a: "` + value + `"}}}}`
	}
	const once = "update: createOnly, "
	const again = "makes another value each time, and this is evaluated again and again; " +
		`generate it in the template of a child with update: "createOnly", and read that child elsewhere`
	for name, tc := range map[string]struct {
		config string
		want   []string
	}{
		"a child that is kept":    {template("", "m", "x${generate.uuid()}"), []string{`children."s".template."stringData"."a"@3: ` + again}},
		"a child that is changed": {template("update: recreate, ", "m", "${generate.uuid()}"), []string{`children."s".template."stringData"."a"@2: ` + again}},
		"the name":                {template(once, "${generate.uuid()}", "x"), []string{`children."s".template."metadata"."name"@0: is generated, and the object is known by it; make a name of what is known of the parent, as with name(…)`}},
		"the status":              {"children: {}\nstatus: {a: \"${generate.hex(8)}\"}", []string{`status."a"@2: ` + again}},
		"includeWhen":             {template(once+`includeWhen: "'a' == generate.uuid()", `, "m", "x"), []string{`children."s".includeWhen@7: ` + again}},
		"a patch":                 {`children: {s: {patch: {apiVersion: v1, kind: Secret, metadata: {name: m}, stringData: {a: "${generate.uuid()}"}}}}`, []string{`children."s".patch."stringData"."a"@2: ` + again}},
		"the variable's name":     {`children: {s: {forEach: object.spec.l, as: generate, template: {apiVersion: v1, kind: Secret, metadata: {name: m}}}}`, []string{`children."s".as@0: "generate" cannot be the name of a variable here; choose another one, such as item`}},
		"too short":               {template(once, "m", "${generate.password(4)}"), []string{`children."s".template."stringData"."a"@2: password in generate.password(4) at 1:18: want 8 to 256 characters`}},
		"twice in the alphabet":   {template(once, "m", "${generate.password(8, 'aba')}"), []string{`children."s".template."stringData"."a"@2: password in generate.password(8, "aba") at 1:18: the alphabet has 'a' twice`}},
		"no such function":        {template(once, "m", "a ${generate.pasword(8)}"), []string{`children."s".template."stringData"."a"@4: there is no function generate.pasword; unknown generate.pasword`}},
		"no number":               {template(once, "m", "${generate.password('8')}"), []string{`children."s".template."stringData"."a"@19: generate.password() does not take "8", a string`}},
		"no call":                 {template(once, "m", "${generate}"), []string{`children."s".template."stringData"."a"@2: there is no variable or function generate; unknown generate`}},
	} {
		t.Run(name, func(t *testing.T) {
			have := problemsOf(t, tc.config, schema.GroupVersionKind{Group: "demo.kooperd.dev", Version: "v1", Kind: "Website"})
			if diff := cmp.Diff(tc.want, have); diff != "" {
				t.Errorf("(-want +have):\n%s", diff)
			}
		})
	}
}
