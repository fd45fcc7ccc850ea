package wire_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"

	"kooperd.dev/kooperd/pkg/expression"
	"kooperd.dev/kooperd/pkg/kube/wire"
)

// The depth that Changes looks to, and more changes than any pair here has.
const (
	deepest    = 6
	allChanges = 1000
)

// decodedChanges finds changes by decoding everything: it is slow, and simple.
type decodedChanges []string

func (c *decodedChanges) add(path expression.Path) {
	switch path.String() {
	case "apiVersion", "kind", "metadata.resourceVersion", "metadata.generation", "metadata.managedFields":
	default:
		*c = append(*c, path.String())
	}
}

func below(path expression.Path, name string) expression.Path {
	return append(slices.Clone(path), name)
}

// texts compares two JSON objects.
func (c *decodedChanges) texts(path expression.Path, a, b []byte) {
	var x, y map[string]json.RawMessage
	if json.Unmarshal(a, &x) != nil || json.Unmarshal(b, &y) != nil {
		return
	}
	for name, in := range x {
		other, there := y[name]
		switch {
		case there && bytes.Equal(in, other):
		case there && in[0] == '{' && other[0] == '{' && len(path) < deepest-1:
			c.texts(below(path, name), in, other)
		default:
			c.add(below(path, name))
		}
	}
	for name := range y {
		if _, there := x[name]; !there {
			c.add(below(path, name))
		}
	}
}

// structs compares two structs that were read from protobuf.
func (c *decodedChanges) structs(path expression.Path, a, b reflect.Value) {
	for i := range a.NumField() {
		f := a.Type().Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		x, y := a.Field(i), b.Field(i)
		if f.Tag.Get("protobuf") == "" || reflect.DeepEqual(x.Interface(), y.Interface()) {
			continue
		}
		both := true
		if x.Kind() == reflect.Pointer {
			both = !x.IsNil() && !y.IsNil()
			x, y = x.Elem(), y.Elem()
		}
		inline := strings.Contains(options, "inline") || name == "" && f.Anonymous
		switch {
		case inline && both:
			c.structs(path, x, y)
		case both && x.Kind() == reflect.Struct && !expression.MarshalsItself(x.Type()) && len(path) < deepest-1:
			c.structs(below(path, name), x, y)
		case both && x.Kind() == reflect.Map && x.Len() > 0 && y.Len() > 0 && len(path) < deepest-1:
			c.keys(below(path, name), x, y)
		default:
			c.add(below(path, name))
		}
	}
}

func (c *decodedChanges) keys(path expression.Path, a, b reflect.Value) {
	for _, key := range a.MapKeys() {
		if other := b.MapIndex(key); !other.IsValid() || !reflect.DeepEqual(a.MapIndex(key).Interface(), other.Interface()) {
			c.add(below(path, key.String()))
		}
	}
	for _, key := range b.MapKeys() {
		if !a.MapIndex(key).IsValid() {
			c.add(below(path, key.String()))
		}
	}
}

// checkChanges compares Changes with the slow way, there and back, and with a bound.
func checkChanges(t *testing.T, a, b *wire.Object, message reflect.Type) {
	t.Helper()
	for range 2 {
		var slow decodedChanges
		if a.Encoding == wire.JSON {
			slow.texts(nil, a.Data, b.Data)
		} else {
			slow.structs(nil, decodeMessage(t, a, message), decodeMessage(t, b, message))
		}
		all := wire.Changes(a, b, message, allChanges)
		if most := 3; len(all) > most {
			if some := wire.Changes(a, b, message, most); !slices.Equal(some, all[:most]) {
				t.Errorf("the first %d of %q are %q", most, all, some)
			}
		}
		slices.Sort(all)
		slices.Sort(slow)
		if diff := cmp.Diff([]string(slow), all); diff != "" {
			t.Fatalf("(-decoded +got):\n%s\n%s\n%s", diff, a.Data, b.Data)
		}
		a, b = b, a
	}
}

func decodeMessage(t *testing.T, o *wire.Object, message reflect.Type) reflect.Value {
	t.Helper()
	value := reflect.New(message.Elem())
	if err := value.Interface().(interface{ Unmarshal(data []byte) error }).Unmarshal(o.Data); err != nil {
		t.Fatal(err)
	}
	return value.Elem()
}

// podChanges are ways to change a Pod, each in a place of its own.
func podChanges(random *rand.Rand) []func(p *corev1.Pod) {
	word := func() string { return []string{"", "a", "b", "ab", `q"\`, strings.Repeat("long ", 40)}[random.IntN(6)] }
	texts := func(given map[string]string) map[string]string {
		if random.IntN(8) == 0 {
			return nil
		}
		changed := map[string]string{}
		for key, value := range given {
			if random.IntN(4) > 0 {
				changed[key] = value
			}
		}
		for range random.IntN(3) {
			changed[fmt.Sprintf("k%d/%s", random.IntN(30), word())] = word()
		}
		return changed
	}
	number := func() *int64 { return new(random.Int64N(3)) }
	return []func(p *corev1.Pod){
		func(p *corev1.Pod) { p.Labels = texts(p.Labels) },
		func(p *corev1.Pod) { p.Annotations = texts(p.Annotations) },
		func(p *corev1.Pod) { p.Spec.NodeSelector = texts(p.Spec.NodeSelector) },
		func(p *corev1.Pod) { p.ResourceVersion = fmt.Sprint(random.IntN(1000)) },
		func(p *corev1.Pod) { p.Generation = random.Int64N(300) },
		func(p *corev1.Pod) { p.Finalizers = append(p.Finalizers, "a/"+word()) },
		func(p *corev1.Pod) { p.DeletionTimestamp = new(metav1.Unix(random.Int64N(3)+1, 0)) },
		func(p *corev1.Pod) { p.OwnerReferences = nil },
		func(p *corev1.Pod) { p.Spec.NodeName = word() },
		func(p *corev1.Pod) { p.Spec.Containers[0].Image = word() },
		func(p *corev1.Pod) { p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: word()}) },
		func(p *corev1.Pod) { p.Spec.Containers[0].LivenessProbe = probe(intstr.FromString(word())) },
		func(p *corev1.Pod) { p.Spec.TerminationGracePeriodSeconds = number() },
		func(p *corev1.Pod) {
			p.Spec.SecurityContext = &corev1.PodSecurityContext{FSGroup: number(), RunAsUser: number()}
		},
		func(p *corev1.Pod) { p.Spec.SecurityContext = nil },
		func(p *corev1.Pod) {
			p.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
				NodeSelectorTerms: make([]corev1.NodeSelectorTerm, random.IntN(3)+1)}}}
		},
		func(p *corev1.Pod) {
			p.Spec.Overhead = corev1.ResourceList{corev1.ResourceCPU: *resource.NewQuantity(random.Int64N(3)+1, resource.DecimalSI), corev1.ResourceName("x/" + word()): resource.MustParse("1")}
		},
		func(p *corev1.Pod) { p.Status.Phase = corev1.PodPhase(word()) },
		func(p *corev1.Pod) { p.Status.PodIP = word() },
		func(p *corev1.Pod) { p.Status.StartTime = new(metav1.Unix(random.Int64N(3)+1, 0)) },
		func(p *corev1.Pod) { p.Status = corev1.PodStatus{} },
		func(p *corev1.Pod) {
			p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{Type: corev1.PodConditionType(word())})
		},
	}
}

// randomly changes something once or a few times.
func randomly[T any](random *rand.Rand, changes []func(T), of T) {
	for range random.IntN(4) {
		changes[random.IntN(len(changes))](of)
	}
}

// TestChangesAgreeWithDecoding compares on random changes of a Pod.
func TestChangesAgreeWithDecoding(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	changes := podChanges(random)
	for range 150 {
		before := pod("a")
		randomly(random, changes, before)
		after := before.DeepCopy()
		randomly(random, changes, after)
		a, b := arrived(t, before), arrived(t, after)
		for i := range a {
			checkChanges(t, a[i], b[i], podMessage)
		}
	}
}

// TestChangesOfManyKinds compares on kinds with structs that are written inline, maps of bytes and
// of structs, and messages within themselves.
func TestChangesOfManyKinds(t *testing.T) {
	secret := func(data map[string][]byte) runtime.Object {
		return &corev1.Secret{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"}, Data: data}
	}
	volume := func(change func(s *corev1.PersistentVolumeSpec)) runtime.Object {
		v := &corev1.PersistentVolume{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "PersistentVolume"}}
		change(&v.Spec)
		return v
	}
	for _, pair := range [][2]runtime.Object{
		{secret(map[string][]byte{"a": []byte("1"), "b": nil}), secret(map[string][]byte{"a": []byte("2"), "c": {}})},
		{secret(nil), secret(map[string][]byte{"": {}})},
		{secret(map[string][]byte{"a": {1}, "c": {1}, "e": {1}, "g": {1}}), secret(map[string][]byte{"b": {1}, "c": {1}, "d": {1}, "e": {2}, "g": {1}})},
		{
			volume(func(s *corev1.PersistentVolumeSpec) { s.HostPath = &corev1.HostPathVolumeSource{Path: "/a"} }),
			volume(func(s *corev1.PersistentVolumeSpec) { s.NFS = &corev1.NFSVolumeSource{Path: "/a"} }),
		},
		{
			volume(func(s *corev1.PersistentVolumeSpec) { s.HostPath = &corev1.HostPathVolumeSource{Path: "/a"} }),
			volume(func(s *corev1.PersistentVolumeSpec) {
				s.HostPath, s.VolumeMode = &corev1.HostPathVolumeSource{Path: "/b"}, new(corev1.PersistentVolumeBlock)
			}),
		},
	} {
		a, b := parseObject(t, encodeProtobuf(t, pair[0])), parseObject(t, encodeProtobuf(t, pair[1]))
		checkChanges(t, a, b, reflect.TypeOf(pair[0]))
		a, b = parseObject(t, encodeJSON(t, pair[0])), parseObject(t, encodeJSON(t, pair[1]))
		checkChanges(t, a, b, nil)
	}
}

// randomMember is one of a random JSON object.
type randomMember struct{ name, value string }

// randomValue is the text of any value.
func randomValue(random *rand.Rand, depth int) string {
	if random.IntN(2) > 0 && depth < 9 {
		return writeObject(random, randomMembers(random, depth+1))
	}
	scalars := []string{"1", "12", "123", "1.5e3", "-1", "true", "false", "null", `""`, `"1"`, `"a b"`, `"}"`, `"{\"a\":1}"`, `"\\"`, `"é\""`, "[]", "[1,2]", "[ 1, 2 ]", `[{"a":[1]}]`, "{}"}
	return scalars[random.IntN(len(scalars))]
}

func randomMembers(random *rand.Rand, depth int) []randomMember {
	names := []string{"a", "b", "c", "aa", "metadata", "spec", "resourceVersion", `x\"y`, "ä", `\\`, "kind", "a.b/c"}
	random.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	var members []randomMember
	for _, name := range names[:random.IntN(5)] {
		members = append(members, randomMember{name, randomValue(random, depth)})
	}
	return members
}

func writeObject(random *rand.Rand, members []randomMember) string {
	blank := func() string { return strings.Repeat(" ", max(random.IntN(12)-10, 0)) }
	texts := make([]string, 0, len(members))
	for _, m := range members {
		texts = append(texts, blank()+`"`+m.name+`"`+blank()+":"+blank()+m.value+blank())
	}
	return "{" + blank() + strings.Join(texts, ",") + blank() + "}"
}

// changed is a text with some values, names, and orders changed, wherever they are.
func changed(random *rand.Rand, text string, depth int) string {
	var raw map[string]json.RawMessage
	if text[0] != '{' || random.IntN(10) == 0 || json.Unmarshal([]byte(text), &raw) != nil {
		return randomValue(random, depth)
	}
	names := make([]string, 0, len(raw))
	for name := range raw {
		names = append(names, name)
	}
	slices.Sort(names)
	var members []randomMember
	for _, name := range names {
		quoted := strconv.Quote(name) // None of these names is written otherwise in JSON.
		m := randomMember{name: quoted[1 : len(quoted)-1], value: string(raw[name])}
		switch random.IntN(6) {
		case 0:
			m.value = changed(random, m.value, depth+1)
		case 1:
			continue
		case 2:
			if _, taken := raw["new"]; !taken {
				raw["new"] = nil
				members = append(members, randomMember{"new", randomValue(random, depth+1)})
			}
		}
		members = append(members, m)
	}
	if random.IntN(4) == 0 {
		random.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
	}
	return writeObject(random, members)
}

// FuzzChangesOfRandomTexts compares on random JSON objects.
func FuzzChangesOfRandomTexts(f *testing.F) {
	for seed := range uint64(30) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		random := rand.New(rand.NewPCG(seed, 3))
		for range 30 {
			before := writeObject(random, randomMembers(random, 0))
			if after := changed(random, before, 0); after[0] == '{' {
				checkChanges(t, &wire.Object{Data: []byte(before)}, &wire.Object{Data: []byte(after)}, nil)
			}
		}
	})
}
