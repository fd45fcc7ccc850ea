package compose

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/pkg/handlers"
)

// FuzzPlan plays a story in a cluster: the children of a parent change, others change and delete
// and copy objects, another parent wants the same ones, plans are carried out late or by half, and
// what is remembered is lost. Whatever happens, no object is written or deleted that is not ours,
// and once all others are quiet, everything is as desired after one write of each object.
func FuzzPlan(f *testing.F) {
	for _, text := range slices.Concat(stories, adoptionStories) {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		s := newStory(t, text)
		for s.tape.more() {
			s.step()
		}
		s.settle()
	})
}

// Parts of the seeds: see step.
const (
	wishes   = "\x00"     // and how many children, each by object, name, variant, After and policy
	carried  = "\x01\x07" // a plan, and how many of its ops are carried out
	others   = "\x02"     // and an object, and what is done with it
	oneChild = wishes + "\x01\x00\x01\x00\x00\x00" + carried
)

// stories are seeds.
var stories = []string{
	"",
	oneChild,
	oneChild + others + "\x00\x05\x00\x03" + carried,                                                                  // its data is changed
	oneChild + others + "\x00\x00\x00\x02" + carried,                                                                  // the parent's mark is edited
	oneChild + others + "\x00\x00\x01\x05" + others + "\x00\x01\x00\x00" + carried,                                    // so are others
	oneChild + others + "\x00\x02" + carried,                                                                          // the owner reference is removed
	oneChild + others + "\x00\x03\x01\x00" + carried,                                                                  // another parent is its controller
	oneChild + others + "\x00\x07" + carried + wishes + "\x00" + carried,                                              // managedFields are wiped
	oneChild + others + "\x01\x04\x00" + wishes + "\x01\x01\x01\x00\x00\x00" + carried,                                // it is copied
	oneChild + others + "\x01\x04\x00" + carried,                                                                      // a copy is not desired
	wishes + "\x01\x03\x01\x02\x00\x00" + carried + wishes + "\x00" + carried,                                         // a claim is kept
	oneChild + others + "\x00\x09" + wishes + "\x00" + carried + wishes + "\x01\x00\x01\x00\x00\x00" + carried,        // it ends slowly
	oneChild + wishes + "\x01\x01\x01\x00\x00\x00" + carried,                                                          // it is renamed
	oneChild + "\x03" + others + "\x00\x06" + others + "\x00\x08\x00\x00" + "\x05",                                    // a plan comes late
	"\x06\x00" + oneChild + others + "\x00\x05\x00\x03" + carried,                                                     // metadata alone
	"\x04\x01\x00\x01\x00\x00\x00" + oneChild,                                                                         // another parent was first
	others + "\x00\x08\x01\x00" + oneChild,                                                                            // a stranger was
	wishes + "\x02\x00\x01\x00\x00\x00\x01\x02\x00\x01\x00" + carried,                                                 // two, in order
	wishes + "\x02\x00\x01\x00\x02\x00\x01\x02\x00\x01\x00" + carried,                                                 // a cycle
	wishes + "\x02\x00\x01\x00\x00\x00\x00\x02\x00\x00\x00" + carried,                                                 // one object twice
	wishes + "\x01\x03\x01\x02\x00\x04" + carried + wishes + "\x00" + carried,                                         // a claim is pruned
	wishes + "\x02\x04\x01\x00\x00\x04\x05\x02\x00\x00\x00" + carried + wishes + "\x01\x05\x02\x00\x00\x00" + carried, // a namespace is in use
	oneChild + wishes + "\x01\x00\x01\x01\x00\x20" + carried + carried + carried,                                      // it is made anew
	oneChild + wishes + "\x01\x00\x01\x01\x00\x40" + carried + others + "\x00\x06" + carried,                          // it is changed when it is deleted
	oneChild + wishes + "\x01\x00\x01\x01\x00\x60" + carried + carried + others + "\x00\x05\x00\x03" + carried,        // it is not changed any more
	wishes + "\x01\x06\x01\x02\x00\x00" + carried + wishes + "\x01\x06\x01\x03\x00\x80" + carried + carried,           // fields are left to others
	wishes + "\x01\x06\x01\x02\x00\x00" + carried + others + "\x06\x0c" + carried,                                     // an atomic map is extended
	oneChild + "\x07\x04\x00" + others + "\x00\x05\x00\x03" + carried + others + "\x00\x06" + carried,                 // it is fought about
	oneChild + "\x07\x02" + wishes + "\x00" + carried,                                                                 // too many would go
	wishes + "\x01\x06\x01\x03\x00\x00" + carried + others + "\x06\x0b\x02" + others + "\x06\x0b\x04" + carried,       // lists are changed
	"\x09\x00\x01\x00\x01\x00\x00\x00" + oneChild + "\x09\x00\x00" + carried + carried,                                // another definition lets go
	"\x09\x01\x01\x00\x01\x00\x00\x00" + oneChild + "\x09\x00\x01\x01\x01\x00\x00\x00" + carried,                      // it does not say so at once
	oneChild + "\x09\x02\x00" + wishes + "\x00" + carried,                                                             // another one may take it
}

// donor is a definition that has made children for the website, and goes on.
const donor = "sites"

// former is a parent that had the place of the website: after a restore, children are of its UID.
var former = Parent{Kind: websiteKind, Namespace: "team-a", Name: "web", UID: "uid-of-former"}

// shop is another parent that wants the same objects.
var shop = Parent{Kind: websiteKind, Namespace: "team-a", Name: "shop", UID: "uid-of-shop"}

// wants are the objects that may be children.
var wants = []struct {
	kind            schema.GroupVersionKind
	namespace, name string
}{
	{kind: configMapKind, name: "one"}, {kind: configMapKind, name: "two"}, {kind: secretKind, name: "one"},
	{kind: claimKind, name: "disk"}, {kind: namespaceKind, name: "space"}, {kind: configMapKind, namespace: "space", name: "inside"},
	{kind: widgetKind, name: "one"},
}

func wantID(i int) ChildID {
	w := wants[i]
	if w.namespace == "" && resources[w.kind].Namespaced {
		w.namespace = "team-a"
	}
	return idOf(w.kind, w.namespace, w.name)
}

// variants are what the children may have beside their metadata.
var variants = []map[string]any{
	{"data": map[string]any{"a": "1"}},
	{"data": map[string]any{"a": "2", "b": "1"}},
	{"data": map[string]any{}, "spec": map[string]any{"replicas": int64(1), "selector": map[string]any{"app": "web"}}},
	{"spec": map[string]any{
		"groups": []any{"x", "y"}, "args": []any{"-v", int64(1)},
		"containers": []any{
			map[string]any{"name": "web", "cpu": "1", "ports": []any{map[string]any{"containerPort": int64(80)}}},
			map[string]any{"name": "log"},
		},
	}},
}

// ignores are what a child may leave to others.
var ignores = []string{"data.b", "spec.containers[name=log]", "spec.args"}

// tape is what decides how a story goes on.
type tape struct{ rest []byte }

func (t *tape) more() bool { return len(t.rest) > 0 }

// next returns a number below n.
func (t *tape) next(n int) int {
	if len(t.rest) == 0 {
		return 0
	}
	v := int(t.rest[0])
	t.rest = t.rest[1:]
	return v % n
}

// story is one run of FuzzPlan.
type story struct {
	*cluster
	t            *testing.T
	tape         *tape
	desired      []*Desired
	late         []Op
	hold, brake  bool
	damped       map[ChildID]Damped
	kept         map[ChildID]Kept // by the donor
	claims       bool             // another definition may take everything over that is not desired
	metadataOnly []schema.GroupKind
	whole        map[ChildID]bool     // read past the caches
	live         map[ChildID]bool     // read past the caches with managedFields
	remembered   map[types.UID]string // version and hash of what was applied
	makers       map[types.UID]string // who has made an object
	refused      map[ChildID]bool     // by a conflict
	written      map[ChildID]int      // since all others are quiet
	immutable    map[types.UID]string // hash of what an object could not be changed to
}

func newStory(t *testing.T, text []byte) *story {
	if len(text) > 400 {
		text = text[:400]
	}
	return &story{
		cluster: newCluster(), t: t, tape: &tape{rest: text}, whole: map[ChildID]bool{}, live: map[ChildID]bool{}, remembered: map[types.UID]string{},
		damped: map[ChildID]Damped{}, kept: map[ChildID]Kept{}, makers: map[types.UID]string{}, refused: map[ChildID]bool{}, written: map[ChildID]int{}, immutable: map[types.UID]string{},
	}
}

func (s *story) step() {
	switch s.tape.next(10) {
	case 0:
		s.desired = s.wish(website, definition)
	case 1:
		s.carryOut(s.plan(), s.tape.next(8))
	case 2:
		s.bystander()
	case 3:
		s.late = s.plan()
	case 4:
		s.otherParent(shop)
	case 5:
		s.carryOut(s.late, 8)
	case 6:
		s.metadataOnly = nil
		if s.tape.next(2) == 0 {
			s.metadataOnly = []schema.GroupKind{configMapKind.GroupKind(), widgetKind.GroupKind()}
		}
	case 7:
		clear(s.remembered)
		why := s.tape.next(8)
		s.hold, s.brake = why&1 > 0, why&2 > 0
		if clear(s.damped); why&4 > 0 {
			s.damped[wantID(s.tape.next(len(wants)))] = Damped{Paths: []string{""}, Others: true, Message: "there is a fight"}
		}
	case 8:
		s.otherParent(former)
	case 9:
		s.otherDefinition()
	}
}

// otherDefinition lets the donor make children for the website. What it makes it wants, or it lets
// it go in the next breath. It may not have said that yet, and another definition may take over
// what is not desired.
func (s *story) otherDefinition() {
	what := s.tape.next(4)
	wanted := s.wish(website, donor)
	in := Input{Installation: installation, Definition: donor, Parent: website, Desired: wanted, Hold: "it makes alone"}
	in.Observed = s.observed(s.t, website, wanted)
	for _, op := range Plan(in) {
		if err := s.execute([]Op{op}); err == nil && op.Action == Create {
			s.makers[s.objects[op.ID].uid] = donor
		}
	}
	clear(s.kept)
	for _, d := range wanted {
		s.kept[d.ID] = Kept{Wanted: what&1 == 0, Message: "it is not known"}
	}
	s.claims = what&2 > 0
}

// mayTake reports whether an object that the donor has made may become a child.
func (s *story) mayTake(id ChildID, o *stored) bool {
	if _, kept := s.kept[id]; kept && o.metadata("labels", DefinitionLabel) == donor {
		return false
	}
	return s.makers[o.uid] == donor
}

// wish makes what is desired for a parent by a definition.
func (s *story) wish(parent Parent, id string) []*Desired {
	m := makerFor(parent)
	m.definition = id
	var all []*Desired
	for range s.tape.next(5) {
		w := wants[s.tape.next(len(wants))]
		name := s.tape.next(32)
		adopt := name >> 2
		child := handlers.Child{Name: []string{"", "a", "b", "c"}[name&3]}
		child.Object = untyped(w.kind, w.namespace, w.name, variants[s.tape.next(len(variants))])
		after := s.tape.next(8)
		for i, name := range []string{"a", "b", "c"} {
			if after>>i&1 == 1 {
				child.After = append(child.After, name)
			}
		}
		policy := s.tape.next(256)
		child.Policy.Update = []handlers.Update{"", handlers.UpdateRecreate, handlers.UpdateOnDelete, handlers.UpdateCreateOnly}[policy>>5&3]
		child.Policy.AllowDataLoss = policy&128 > 0 && child.Policy.Update == handlers.UpdateRecreate
		if policy&128 > 0 && !child.Policy.AllowDataLoss {
			child.Policy.Ignore = ignores
		}
		child.Policy.Drift = []handlers.Drift{"", handlers.DriftReport, handlers.DriftIgnore, handlers.DriftFix}[policy&3]
		child.Policy.Prune = policy&4 > 0
		if policy&8 > 0 {
			child.Policy.Conflicts = handlers.ConflictsFail
		}
		if policy&16 > 0 {
			child.Policy.Ready = func(o handlers.Object) (bool, string) { return o.Metadata().Annotations["ready"] != "", "it says not" }
		}
		if adopt&4 > 0 {
			child.Policy.AdoptFrom = []string{"kubectl"}
		}
		if adopt != 7 { // The others are contradicted by AdoptFrom.
			child.Policy.Adopt = []handlers.Adopt{"", handlers.AdoptIfUnowned, handlers.AdoptRestored, handlers.AdoptNever}[adopt&3]
		}
		d, err := m.make(child)
		if err != nil {
			s.t.Fatalf("making a child: %v", err)
		}
		all = append(all, d)
	}
	return all
}

// observe is what a pass observes.
func (s *story) observe() []*Observed {
	all := s.observed(s.t, website, s.desired, s.metadataOnly...)
	for i, o := range all {
		if s.whole[o.ID] || s.live[o.ID] {
			seen, err := s.cluster.live(o.ID, !s.whole[o.ID] && !o.Whole)
			if err != nil {
				s.t.Fatal(err)
			}
			if all[i] = seen; !s.live[o.ID] {
				seen.Managers = nil
			}
		}
		version, hash, _ := strings.Cut(s.remembered[o.UID], " ")
		if all[i].last = hash; version == o.ResourceVersion {
			all[i].applied = hash
		}
		all[i].immutable = s.immutable[o.UID]
	}
	return all
}

// plan plans, and checks that it is a function and harms no other.
func (s *story) plan() []Op {
	in := Input{Installation: installation, Definition: definition, Parent: website, Desired: s.desired, Observed: s.observe(), Damped: s.damped}
	in.Donors, in.Kept = []string{donor}, s.kept
	if s.claims {
		in.Claimed = map[ChildID]string{}
		for _, o := range in.Observed {
			in.Claimed[o.ID] = "another may take it"
		}
	}
	if s.hold {
		in.Hold = "it is held"
	}
	if s.brake {
		in.Brake = "too many would go"
	}
	ops := Plan(in)
	text := words(ops)
	if again := words(Plan(in)); !slices.Equal(text, again) {
		s.t.Fatalf("two plans of one input:\n%v\n%v", text, again)
	}
	in.Observed = slices.Clone(in.Observed)
	slices.Reverse(in.Observed)
	again := words(Plan(in))
	if n := len(s.desired); !slices.Equal(text[:n], again[:n]) {
		s.t.Fatalf("two orders of what is observed:\n%v\n%v", text, again)
	}
	slices.Sort(again)
	if !slices.Equal(slices.Sorted(slices.Values(text)), again) {
		s.t.Fatalf("two orders of what is observed:\n%v\n%v", text, again)
	}
	for i, op := range ops {
		s.judge(op)
		if op.Desired != nil && op.Desired != s.desired[i] {
			s.t.Fatalf("op %d is about %s, and desired is %s", i, op.Desired.ID, s.desired[i].ID)
		}
	}
	return ops
}

// judge checks that an op is lawful in the present state.
func (s *story) judge(op Op) {
	o, exists := s.objects[op.ID]
	if _, damped := s.damped[op.ID]; damped && (op.Action == Create || op.Action == Apply && op.Reason == ReasonDrift) {
		s.t.Fatalf("%s is set back while it is fought about", op.ID)
	}
	switch op.Action {
	case Create:
		if exists {
			s.t.Fatalf("%s is created, and exists", op.ID)
		}
	case Apply, HandOver:
		if !exists || s.makers[o.uid] != "website" && !s.wiped(o) && !s.mayTake(op.ID, o) {
			s.t.Fatalf("%s is applied, and was made by %q", op.ID, s.makers[o.uid])
		}
		if op.Desired.Policy.Update == handlers.UpdateOnDelete && o.annotation(AppliedAnnotation) != op.Desired.hash {
			s.t.Fatalf("%s is changed, and to be so when it is deleted", op.ID)
		}
	case Recreate:
		holds := slices.Contains(protected, op.ID.Kind) && !op.Desired.Policy.AllowDataLoss
		if !s.proven(o) || o.deleting || op.Desired.Policy.Update != handlers.UpdateRecreate || s.immutable[o.uid] != op.Desired.hash || holds {
			s.t.Fatalf("%s is made anew", op.ID)
		}
	case Adopt:
		if why := s.unadoptable(op.Desired.Policy, o); !exists || why != "" {
			s.t.Fatalf("%s is adopted: %s", op.ID, why)
		}
	case Delete:
		switch {
		case !exists || s.makers[o.uid] != "website":
			s.t.Fatalf("%s is deleted, and was made by another", op.ID)
		case !s.proven(o):
			s.t.Fatalf("%s is deleted without a proof", op.ID)
		case o.deleting:
			s.t.Fatalf("%s is deleted twice", op.ID)
		case s.hold || s.brake || s.claims:
			s.t.Fatalf("%s is deleted while that is held", op.ID)
		case slices.ContainsFunc(s.desired, func(d *Desired) bool { return d.ID == op.ID }):
			s.t.Fatalf("%s is deleted and desired", op.ID)
		case slices.Contains(protected, op.ID.Kind) && o.annotation(PruneAnnotation) != "true":
			s.t.Fatalf("%s is protected", op.ID)
		}
	}
}

// unadoptable says why an object is not to be adopted: the law in other words.
func (s *story) unadoptable(policy handlers.ChildPolicy, o *stored) string {
	metadata, _ := o.tree["metadata"].(map[string]any)
	references, _ := metadata["ownerReferences"].([]any)
	for _, r := range references {
		reference, _ := r.(map[string]any)
		if controller, _ := reference["controller"].(bool); controller && reference["name"] != "web" {
			return "it is controlled by another"
		}
	}
	mark := func(label string) string { return o.metadata("labels", label) }
	uid, inst, def := mark(ParentUIDLabel), mark(InstallationLabel), mark(DefinitionLabel)
	entry, applied := o.managers["kubectl"]
	from := len(policy.AdoptFrom) > 0 && (applied && !entry.Set().Empty() || o.managers[FieldManager] != nil)
	switch {
	case o.deleting:
		return "it is being deleted"
	case policy.Adopt == handlers.AdoptRestored && inst == installation && def == definition && o.annotation(ParentAnnotation) == "team-a/web":
		return ""
	case uid != "" && uid != string(website.UID), inst != "" && inst != installation, def != "" && def != definition:
		return "it is marked by another"
	case policy.Adopt != handlers.AdoptIfUnowned && !from:
		return "the policy does not say so"
	}
	return ""
}

func (s *stored) metadata(of, name string) string {
	metadata, _ := s.tree["metadata"].(map[string]any)
	texts, _ := metadata[of].(map[string]any)
	text, _ := texts[name].(string)
	return text
}

func (s *stored) annotation(name string) string { return s.metadata("annotations", name) }

// proven is the law in other words: our entry has the label with the parent's UID, or the owner
// reference to it.
func (s *story) proven(o *stored) bool {
	entry, ok := o.managers[FieldManager]
	if !ok {
		return false
	}
	fields := entry.Set().String()
	byLabel := strings.Contains(fields, ".metadata.labels."+ParentUIDLabel) && o.metadata("labels", ParentUIDLabel) == string(website.UID)
	return byLabel || strings.Contains(fields, fmt.Sprintf(".metadata.ownerReferences[uid=%q]", website.UID))
}

// wiped reports whether an object has all that a child has but our entry in managedFields.
func (s *story) wiped(o *stored) bool {
	_, entry := o.managers[FieldManager]
	if entry || o.metadata("labels", ParentUIDLabel) != string(website.UID) || o.metadata("labels", InstallationLabel) != installation {
		return false
	}
	metadata, _ := o.tree["metadata"].(map[string]any)
	references, _ := metadata["ownerReferences"].([]any)
	return slices.ContainsFunc(references, func(r any) bool {
		reference, _ := r.(map[string]any)
		controller, _ := reference["controller"].(bool)
		return reference["uid"] == string(website.UID) && controller
	})
}

// carryOut carries out the first ops of a plan, as it is now or was before.
func (s *story) carryOut(ops []Op, most int) {
	for _, op := range ops {
		if most--; most < 0 {
			return
		}
		before := s.objects[op.ID]
		if op.Action == Read {
			s.whole[op.ID] = s.whole[op.ID] || op.Reason == ReasonDrift
			s.live[op.ID] = s.live[op.ID] || op.Reason != ReasonDrift
			continue
		}
		if op.Action == Apply && op.Desired.Policy.Update == handlers.UpdateRecreate && op.ID.Kind.Kind != "Widget" {
			s.immutable[op.Observed.UID] = op.Desired.hash
			continue
		}
		left := s.leftToOthers(op)
		err := s.execute([]Op{op})
		now := s.objects[op.ID]
		if after := s.leftToOthers(op); op.Action != Recreate && left != "" && left != after {
			s.t.Fatalf("%s has changed what is left to others:\n%s\n%s", words([]Op{op}), left, after)
		}
		switch {
		case apierrors.IsConflict(err) && reasonFor(errors.Unwrap(err)) == ReasonConflict:
			s.refused[op.ID] = true
		case err != nil && reasonFor(errors.Unwrap(err)) != reasonStale && !apierrors.IsNotFound(err):
			s.t.Fatalf("carrying out: %v", err)
		case err != nil:
		case op.Action == Create || op.Action == Apply || op.Action == Adopt || op.Action == HandOver:
			if before != nil && (op.Observed == nil || op.Observed.UID != before.uid) {
				s.t.Fatalf("%s has overwritten another object", words([]Op{op}))
			}
			s.makers[now.uid] = "website"
			delete(s.whole, op.ID)
			if delete(s.live, op.ID); op.Action == HandOver {
				delete(s.remembered, now.uid)
				continue
			}
			s.remembered[now.uid] = now.version + " " + op.Desired.hash
			s.written[op.ID]++
		case op.Action == Delete || op.Action == Recreate:
			delete(s.live, op.ID)
			if before.uid != op.Observed.UID || s.makers[before.uid] != "website" && (op.Action == Delete || !s.mayTake(op.ID, before)) {
				s.t.Fatalf("%s has deleted another object", words([]Op{op}))
			}
			if op.Action == Delete {
				s.written[op.ID]++
			}
		}
	}
}

// leftToOthers is what of an object is not to be changed by an op; empty if all may be.
func (s *story) leftToOthers(op Op) string {
	o := s.objects[op.ID]
	if o == nil || op.Desired == nil || op.Action == Create {
		return ""
	}
	tree := runtime.DeepCopyJSON(o.tree)
	only := map[string]any{"kind": tree["kind"]}
	spec, _ := tree["spec"].(map[string]any)
	data, _ := tree["data"].(map[string]any)
	only["replicas"] = spec["replicas"]
	if wanted, _ := op.Desired.tree["spec"].(map[string]any); wanted["replicas"] != nil {
		delete(only, "replicas") // It is the child's to set.
	}
	switch policy := op.Desired.Policy; {
	case op.Action == HandOver:
		only = tree
	case policy.Update == handlers.UpdateCreateOnly:
		only = map[string]any{"spec": tree["spec"], "data": tree["data"]}
	case len(policy.Ignore) > 0:
		only["b"], only["args"] = data["b"], spec["args"]
		containers, _ := spec["containers"].([]any)
		for _, item := range containers {
			if fields, _ := item.(map[string]any); fields["name"] == "log" {
				only["log"] = item
			}
		}
	}
	text, err := json.Marshal(only)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(text)
}

// otherParent makes or deletes the children of another parent.
func (s *story) otherParent(parent Parent) {
	in := Input{Installation: installation, Definition: definition, Parent: parent}
	in.Desired = s.wish(parent, definition)
	in.Observed = s.observed(s.t, parent, in.Desired)
	for _, op := range Plan(in) {
		if err := s.execute([]Op{op}); err == nil && op.Action == Create {
			s.makers[s.objects[op.ID].uid] = string(parent.UID)
		}
	}
}

// bystander does something that only another party does.
func (s *story) bystander() {
	id := wantID(s.tape.next(len(wants)))
	o, exists := s.objects[id]
	what := s.tape.next(13)
	if !exists && what != 4 && what != 8 {
		return
	}
	values := []string{"", string(website.UID), string(shop.UID), definition, installation, "x"}
	switch what {
	case 0:
		s.edit(id, "kubectl", labelled([]string{ParentUIDLabel, DefinitionLabel, InstallationLabel}[s.tape.next(3)], values[s.tape.next(len(values))]))
	case 1:
		name := []string{AppliedAnnotation, ChildAnnotation, PruneAnnotation, ParentAnnotation, "ready", AdoptedAnnotation}[s.tape.next(6)]
		s.edit(id, "kubectl", annotated(name, []string{"", "true", "a", o.annotation(AppliedAnnotation)}[s.tape.next(4)]))
	case 2:
		s.edit(id, "kubectl", func(tree map[string]any) { delete(object(tree, "metadata"), "ownerReferences") })
	case 3:
		parent := []Parent{website, shop}[s.tape.next(2)]
		s.edit(id, "kubectl", func(tree map[string]any) {
			object(tree, "metadata")["ownerReferences"] = []any{parent.reference(s.tape.next(2) == 0)}
		})
	case 4:
		s.copyTo(id, wantID(s.tape.next(len(wants))))
	case 5:
		s.edit(id, "kubectl", withData([]string{"a", "b"}[s.tape.next(2)], []string{"", "1", "2", "3"}[s.tape.next(4)]))
	case 6:
		if err := s.delete(id, "", ""); err != nil {
			s.t.Fatal(err)
		}
	case 7:
		s.wipe(id)
	case 8:
		s.otherApply(id)
	case 9:
		s.edit(id, "kubectl", func(tree map[string]any) { object(tree, "metadata")["finalizers"] = []any{"example.com/guard"} })
	case 10:
		s.edit(id, "kubectl", func(tree map[string]any) { delete(object(tree, "metadata"), "finalizers") })
		if o.deleting {
			delete(s.objects, id)
		}
	case 11:
		s.edit(id, "kubectl", func(tree map[string]any) {
			spec := object(tree, "spec")
			switch s.tape.next(5) {
			case 0:
				delete(tree, "data")
			case 1:
				delete(tree, "spec")
			case 2:
				spec["containers"] = []any{map[string]any{"name": "web", "cpu": "2", "ports": []any{map[string]any{"containerPort": int64(81)}}}}
			case 3:
				spec["containers"] = []any{map[string]any{"name": "new"}, map[string]any{"name": "web", "cpu": "1000m"}}
			case 4:
				spec["groups"] = []any{"y", "z"}
			}
		})
	case 12:
		s.edit(id, "kubectl", func(tree map[string]any) { object(object(tree, "spec"), "selector")["version"] = "v2" })
	}
	if made := s.objects[id]; made != nil && s.makers[made.uid] == "" {
		s.makers[made.uid] = "kubectl"
	}
}

// copyTo makes an object with everything that another has.
func (s *story) copyTo(id, from ChildID) {
	o := s.objects[from]
	if o == nil || s.objects[id] != nil {
		return
	}
	s.edit(id, "kubectl", func(tree map[string]any) {
		for name, v := range runtime.DeepCopyJSON(o.tree) {
			switch name {
			case "apiVersion", "kind":
			case "metadata":
				metadata, _ := v.(map[string]any)
				for _, field := range []string{"labels", "annotations", "ownerReferences"} {
					if metadata[field] != nil {
						object(tree, "metadata")[field] = metadata[field]
					}
				}
			default:
				tree[name] = v
			}
		}
	})
}

// otherApply applies values by another field manager.
func (s *story) otherApply(id ChildID) {
	kind := schema.GroupVersionKind{Group: id.Kind.Group, Version: "v1", Kind: id.Kind.Kind}
	tree := untyped(kind, id.Namespace, id.Name, variants[s.tape.next(len(variants))])
	if _, err := s.apply(kind, id, "other", tree.Object, s.tape.next(2) == 0); err != nil && !apierrors.IsConflict(err) {
		s.t.Fatalf("applying by another: %v", err)
	}
}

// settle goes on without any other until nothing is done any more.
func (s *story) settle() {
	clear(s.written)
	clear(s.refused)
	clear(s.damped)
	for range maxRounds {
		ops := slices.DeleteFunc(s.plan(), func(op Op) bool {
			return op.Action == Skip || op.Action == Wait || op.Action == Refuse || op.Action == Retain || s.refused[op.ID]
		})
		if len(ops) == 0 {
			s.check()
			return
		}
		s.carryOut(ops, len(ops))
	}
	s.t.Fatalf("it does not settle: %v", words(s.plan()))
}

// check checks that all is as desired.
func (s *story) check() {
	for id, n := range s.written {
		if n > 1 {
			s.t.Errorf("%s was written %d times", id, n)
		}
	}
	ops := s.plan()
	for _, op := range ops {
		if op.Desired == nil || op.Action != Skip || op.Reason == ReasonOnDelete {
			continue
		}
		o := s.objects[op.ID]
		if o == nil {
			s.t.Errorf("%s is said to be there, and is not", op.ID)
			continue
		}
		keeps := op.Desired.Policy.Drift == "" || op.Desired.Policy.Drift == handlers.DriftFix
		if path := missing(op.Desired.tree, o.tree); path != "" && keeps {
			s.t.Errorf("%s is said to be as desired, and %s is not", op.ID, path)
		}
		if want := selectorIn(op.Desired.tree); keeps && want != nil && !maps.Equal(want, selectorIn(o.tree)) {
			s.t.Errorf("%s is said to be as desired, and its selector is %v", op.ID, selectorIn(o.tree))
		}
	}
	for id, o := range s.objects {
		gone := !s.proven(o) || o.metadata("labels", ParentUIDLabel) != string(website.UID) || o.metadata("labels", DefinitionLabel) != definition ||
			o.metadata("labels", InstallationLabel) != installation
		if gone || slices.ContainsFunc(ops, func(op Op) bool { return op.ID == id && (op.Desired != nil || op.Action != Refuse) }) {
			continue
		}
		s.t.Errorf("%s is ours, and nothing is said of it", id)
	}
}

// selectorIn is what is atomic.
func selectorIn(tree map[string]any) map[string]any {
	spec, _ := tree["spec"].(map[string]any)
	selector, _ := spec["selector"].(map[string]any)
	return selector
}

// missing returns where live lacks something of want. Lists count as they are, but for defaults.
func missing(want, live any) string {
	switch want := want.(type) {
	case map[string]any:
		have, _ := live.(map[string]any)
		for _, name := range slices.Sorted(maps.Keys(want)) {
			if path := missing(want[name], have[name]); path != "" {
				return "." + name + strings.TrimPrefix(path, ".=")
			}
		}
		return ""
	case []any:
		have, _ := live.([]any)
		for _, item := range want {
			if !slices.ContainsFunc(have, func(v any) bool { return missing(item, v) == "" }) {
				return fmt.Sprintf("[%v]", item)
			}
		}
		return ""
	default:
		if want != live {
			return ".="
		}
		return ""
	}
}
