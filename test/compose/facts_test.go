package compose_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	applied = metav1.ManagedFieldsOperationApply
	updated = metav1.ManagedFieldsOperationUpdate
)

// fact is something that the API server does, and the rule of package compose that stands on it.
type fact struct {
	rule  string
	name  string
	check func(t *testing.T, s *subject)
}

var facts = []fact{
	{"creating never overwrites a stranger", "apply with resourceVersion 1 creates what is absent", createsWhatIsAbsent},
	{"creating never overwrites a stranger", "apply with resourceVersion 1 conflicts with what is present", conflictsWithWhatIsPresent},
	{"an update never creates", "apply with a uid conflicts when the object is absent", uidOfAbsent},
	{"an update never meets another object", "apply with the uid of another object is invalid at metadata.uid", uidOfAnother},
	{"what others change is seen in our entry", "a value changed by update leaves our entry", changedValueLeaves},
	{"what others do not change is no drift", "the same value by update changes nothing", sameValueStays},
	{"several may want the same value", "the same value by another apply is owned by both", sameApplyIsShared},
	{"conflicts are seen", "another value by another apply conflicts, and the message names the manager", otherApplyConflicts},
	{"a forced apply of another is seen in our entry", "a value taken by force leaves our entry", forcedValueLeaves},
	{"the mark proves whose an object is", "a label removed by another leaves our entry", removedLabelLeaves},
	{"the mark proves whose an object is", "a copied label is the copier's", copiedLabel},
	{"the owner reference proves whose an object is", "our entry has the owner reference by its uid", ownerReference},
	{"fields that the template drops are removed", "a field that an apply leaves out is removed", droppedFieldGoes},
	{"fields that the template drops stay with those who want them", "a shared field that an apply leaves out stays", droppedSharedFieldStays},
	{"managedFields can be lost", "managedFields of one empty entry wipes them", wipe},
	{"sources of children need no more than metadata", "metadata alone has managedFields", metadataHasManagedFields},
	{"answers of applies are overlaid", "an apply can be answered by metadata alone", metadataAnswer},
	{"an apply of the same is no change", "the same apply again keeps the resourceVersion", sameApplyAgain},
	{"a delete is for the version that was proven", "a delete of another resourceVersion conflicts", staleDelete},
	{"a delete is for the object that was proven", "a delete of another uid conflicts", deleteOfAnotherUID},
	{"a delete is for the object that was proven", "a delete of this uid and resourceVersion deletes", exactDelete},
	{"finalizers are set on the object that was seen", "a JSON patch that tests another uid is invalid, without a cause", testOfAnotherUID},
	{"finalizers are set on the object that was seen", "a JSON patch that tests the uid patches", testOfUID},
	{"no finalizer is added to what goes", "a finalizer for an object that is being deleted is invalid", lateFinalizer},
	{"what is being deleted is left alone", "an apply can still change what is being deleted", applyToDeleted},
	{"a child without its mark is looked at again", "a watch by label says DELETED when the label goes", watchByLabel},
}

// TestFacts tries what the rules stand on, for a built-in and for a custom kind.
func TestFacts(t *testing.T) {
	shared.Apply(t, factsDefinition)
	for _, kind := range []factKind{configMapFacts, customFacts} {
		t.Run(kind.kind, func(t *testing.T) {
			namespace := shared.Namespace(t)
			for i, f := range facts {
				t.Run(f.name, func(t *testing.T) {
					t.Cleanup(func() {
						if t.Failed() {
							t.Errorf("what no longer holds is a fact for the rule: %s", f.rule)
						}
					})
					f.check(t, newSubject(t, kind, namespace, fmt.Sprintf("fact-%d", i)))
				})
			}
		})
	}
}

func createsWhatIsAbsent(t *testing.T, s *subject) {
	a := s.apply(t, ours, s.body("one", `"resourceVersion": "1", "labels": {"mark": "ours"}`))
	if a.code != http.StatusCreated {
		t.Fatalf("answer: %d %s, want 201", a.code, a.text)
	}
	for _, path := range [][]string{s.field, {"f:metadata", "f:labels", "f:mark"}} {
		if !a.object.owns(t, ours, applied, path...) {
			t.Errorf("%q is not in our entry:\n%s", path, a.object.managed())
		}
	}
}

func conflictsWithWhatIsPresent(t *testing.T, s *subject) {
	before := s.mustApply(t, other, s.body("one", ""))
	s.refused(t, s.apply(t, ours, s.body("two", `"resourceVersion": "1"`), "force=true"), http.StatusConflict, metav1.StatusReasonConflict, "")
	s.unchanged(t, before)
}

const noUID = `"uid": "00000000-0000-0000-0000-000000000000"`

func uidOfAbsent(t *testing.T, s *subject) {
	s.refused(t, s.apply(t, ours, s.body("one", noUID)), http.StatusConflict, metav1.StatusReasonConflict, "uid mismatch")
	if a := s.get(t); a.code != http.StatusNotFound {
		t.Errorf("the object: %d %s, want that there is none", a.code, a.text)
	}
}

func uidOfAnother(t *testing.T, s *subject) {
	before := s.made(t)
	a := s.apply(t, ours, s.body("two", noUID))
	s.refused(t, a, http.StatusUnprocessableEntity, metav1.StatusReasonInvalid, "metadata.uid")
	for _, cause := range a.status.Details.Causes {
		if cause.Field != "metadata.uid" {
			t.Errorf("cause: %+v, want that the field is metadata.uid", cause)
		}
	}
	if len(a.status.Details.Causes) == 0 {
		t.Error("there is no cause")
	}
	s.unchanged(t, before)
}

func changedValueLeaves(t *testing.T, s *subject) {
	s.made(t)
	a := s.mustPatch(t, other, mergePatch, s.body("changed", ""))
	s.owned(t, a, ours, applied, false, s.field...)
	s.owned(t, a, other, updated, true, s.field...)
}

func sameValueStays(t *testing.T, s *subject) {
	before := s.made(t)
	s.mustPatch(t, other, mergePatch, s.body("one", ""))
	s.unchanged(t, before)
}

func sameApplyIsShared(t *testing.T, s *subject) {
	s.made(t)
	a := s.mustApply(t, other, s.body("one", `"labels": {"mark": "ours"}`))
	for _, path := range [][]string{s.field, {"f:metadata", "f:labels", "f:mark"}} {
		s.owned(t, a, ours, applied, true, path...)
		s.owned(t, a, other, applied, true, path...)
	}
}

func otherApplyConflicts(t *testing.T, s *subject) {
	before := s.made(t)
	a := s.apply(t, other, s.body("two", ""))
	s.refused(t, a, http.StatusConflict, metav1.StatusReasonConflict, `"`+ours+`"`)
	if causes := a.status.Details.Causes; len(causes) != 1 || causes[0].Type != metav1.CauseTypeFieldManagerConflict {
		t.Errorf("causes: %+v, want one for the field", causes)
	}
	s.unchanged(t, before)
}

func forcedValueLeaves(t *testing.T, s *subject) {
	s.made(t)
	a := s.mustApply(t, other, s.body("two", ""), "force=true")
	s.owned(t, a, ours, applied, false, s.field...)
	s.owned(t, a, ours, applied, true, "f:metadata", "f:labels", "f:mark")
	s.owned(t, a, other, applied, true, s.field...)
}

func removedLabelLeaves(t *testing.T, s *subject) {
	s.made(t)
	a := s.mustPatch(t, other, mergePatch, `{"metadata": {"labels": {"mark": null}}}`)
	s.owned(t, a, ours, applied, false, "f:metadata", "f:labels", "f:mark")
	s.owned(t, a, ours, applied, true, s.field...)
}

func copiedLabel(t *testing.T, s *subject) {
	original := s.made(t)
	s.name += "-copy"
	a := s.must(t, s.send(t, request{method: http.MethodPost, query: values(other, nil), body: s.body("one", `"labels": {"mark": "ours"}`)}))
	if a.object.Metadata.UID == original.object.Metadata.UID {
		t.Fatal("it is no copy")
	}
	s.owned(t, a, ours, applied, false)
	s.owned(t, a, other, updated, true, "f:metadata", "f:labels", "f:mark")
}

func ownerReference(t *testing.T, s *subject) {
	namespace, err := shared.Client().CoreV1().Namespaces().Get(t.Context(), s.namespace, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	uid := string(namespace.UID) // Of an owner that does not exist, the garbage collector would delete it.
	a := s.mustApply(t, ours, s.body("one", fmt.Sprintf(
		`"ownerReferences": [{"apiVersion": "v1", "kind": "Namespace", "name": %q, "uid": %q, "controller": true}]`, s.namespace, uid)))
	s.owned(t, a, ours, applied, true, "f:metadata", "f:ownerReferences", fmt.Sprintf(`k:{"uid":%q}`, uid))
	a = s.mustPatch(t, other, mergePatch, `{"metadata": {"ownerReferences": null}}`)
	s.owned(t, a, ours, applied, false, "f:metadata", "f:ownerReferences", fmt.Sprintf(`k:{"uid":%q}`, uid))
}

func droppedFieldGoes(t *testing.T, s *subject) {
	s.made(t)
	a := s.mustApply(t, ours, s.write("", `"labels": {"mark": "ours"}`))
	if value, ok := a.object.value(); ok {
		t.Errorf("the field is %q, want none", value)
	}
	s.owned(t, a, ours, applied, false, s.field...)
}

func droppedSharedFieldStays(t *testing.T, s *subject) {
	s.made(t)
	s.mustApply(t, other, s.body("one", ""))
	a := s.mustApply(t, ours, s.write("", `"labels": {"mark": "ours"}`))
	if value, _ := a.object.value(); value != "one" {
		t.Errorf("the field is %q, want the value of the other", value)
	}
	s.owned(t, a, ours, applied, false, s.field...)
}

func wipe(t *testing.T, s *subject) {
	s.made(t)
	a := s.mustPatch(t, other, mergePatch, `{"metadata": {"managedFields": [{}]}}`)
	if n := len(a.object.Metadata.ManagedFields); n != 0 {
		t.Errorf("managedFields has %d entries, want none:\n%s", n, a.object.managed())
	}
	a = s.mustApply(t, ours, s.body("one", `"labels": {"mark": "ours"}`))
	s.owned(t, a, ours, applied, true, s.field...)
}

func metadataHasManagedFields(t *testing.T, s *subject) {
	s.made(t)
	a := s.must(t, s.send(t, request{method: http.MethodGet, accept: metadataOnly}))
	s.onlyMetadata(t, a)
	s.owned(t, a, ours, applied, true, s.field...)
}

func metadataAnswer(t *testing.T, s *subject) {
	s.made(t)
	a := s.must(t, s.send(t, request{
		method: http.MethodPatch, contentType: applyPatch, accept: metadataOnly, query: values(ours, nil),
		body: s.body("two", `"labels": {"mark": "ours"}`),
	}))
	s.onlyMetadata(t, a)
	s.owned(t, a, ours, applied, true, s.field...)
	if value, _ := s.get(t).object.value(); value != "two" {
		t.Errorf("the field is %q, want what was applied", value)
	}
}

func sameApplyAgain(t *testing.T, s *subject) {
	before := s.made(t)
	s.made(t)
	s.unchanged(t, before)
}

func staleDelete(t *testing.T, s *subject) {
	before := s.made(t)
	now := s.mustPatch(t, other, mergePatch, `{"metadata": {"labels": {"x": "y"}}}`)
	s.refused(t, s.delete(t, before.object.Metadata), http.StatusConflict, metav1.StatusReasonConflict, "ResourceVersion")
	s.unchanged(t, now)
}

func deleteOfAnotherUID(t *testing.T, s *subject) {
	before := s.made(t)
	another := before.object.Metadata
	another.UID = "another"
	s.refused(t, s.delete(t, another), http.StatusConflict, metav1.StatusReasonConflict, "UID")
	s.unchanged(t, before)
}

func exactDelete(t *testing.T, s *subject) {
	before := s.made(t)
	if a := s.delete(t, before.object.Metadata); a.code != http.StatusOK {
		t.Errorf("answer: %d %s, want 200", a.code, a.text)
	}
	if a := s.get(t); a.code != http.StatusNotFound {
		t.Errorf("the object: %d %s, want that there is none", a.code, a.text)
	}
}

// addFinalizer adds one, if the object has this uid.
func (s *subject) addFinalizer(t *testing.T, uid string) answer {
	t.Helper()
	return s.patch(t, ours, jsonPatch, fmt.Sprintf(
		`[{"op": "test", "path": "/metadata/uid", "value": %q}, {"op": "add", "path": "/metadata/finalizers", "value": ["kooperd.dev/fact"]}]`, uid))
}

func testOfAnotherUID(t *testing.T, s *subject) {
	before := s.made(t)
	a := s.addFinalizer(t, "another")
	s.refused(t, a, http.StatusUnprocessableEntity, metav1.StatusReasonInvalid, "")
	if a.status.Details != nil && len(a.status.Details.Causes) > 0 {
		t.Errorf("causes: %+v, want none", a.status.Details.Causes)
	}
	s.unchanged(t, before)
}

func testOfUID(t *testing.T, s *subject) {
	before := s.made(t)
	a := s.must(t, s.addFinalizer(t, string(before.object.Metadata.UID)))
	if diff := gocmp.Diff([]string{"kooperd.dev/fact"}, a.object.Metadata.Finalizers); diff != "" {
		t.Errorf("finalizers (-want +got):\n%s", diff)
	}
	s.removeFinalizers(t)
}

// goes makes an object that is being deleted, and is not gone because of a finalizer.
func (s *subject) goes(t *testing.T) {
	t.Helper()
	s.mustApply(t, other, s.body("one", `"finalizers": ["kooperd.dev/fact"]`))
	s.must(t, s.send(t, request{method: http.MethodDelete}))
	t.Cleanup(func() { s.removeFinalizers(t) })
}

func lateFinalizer(t *testing.T, s *subject) {
	s.goes(t)
	a := s.patch(t, ours, jsonPatch, `[{"op": "add", "path": "/metadata/finalizers/-", "value": "kooperd.dev/late"}]`)
	s.refused(t, a, http.StatusUnprocessableEntity, metav1.StatusReasonInvalid, "metadata.finalizers")
}

func applyToDeleted(t *testing.T, s *subject) {
	s.goes(t)
	a := s.mustApply(t, ours, s.body("two", ""), "force=true")
	if value, _ := a.object.value(); value != "two" || a.object.Metadata.DeletionTimestamp == nil {
		t.Errorf("the field is %q, deleted at %v; want what was applied, and a time", value, a.object.Metadata.DeletionTimestamp)
	}
}

func watchByLabel(t *testing.T, s *subject) {
	before := s.made(t)
	events := s.watch(t, "mark=ours", before.object.Metadata.ResourceVersion)
	s.mustPatch(t, other, mergePatch, `{"metadata": {"labels": {"x": "y"}}}`)
	s.mustPatch(t, other, mergePatch, `{"metadata": {"labels": {"mark": "another"}}}`)
	for _, want := range []string{"MODIFIED", "DELETED"} {
		var event struct {
			Type   string          `json:"type"`
			Object json.RawMessage `json:"object"`
		}
		if err := events.Decode(&event); err != nil {
			t.Fatal(err)
		}
		var a answer
		if err := json.Unmarshal(event.Object, &a.object); err != nil {
			t.Fatal(err)
		}
		if event.Type != want || a.object.Metadata.UID != before.object.Metadata.UID {
			t.Fatalf("event: %s %s, want %s of the object", event.Type, event.Object, want)
		}
		s.onlyMetadata(t, a)
		s.owned(t, a, ours, applied, true, s.field...)
	}
	if a := s.get(t); a.code != http.StatusOK {
		t.Errorf("the object: %d %s, want that it is there", a.code, a.text)
	}
}
