package compose

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kube"
)

// maxDone is how many bytes the annotation with what is done may have. All annotations of an object
// together may have 256 KiB.
const maxDone = 32 << 10

// hasFailed is in front of the hash of a child that has finished and failed.
const hasFailed = "!"

var errDoneConflict = errors.New("the parent has changed")

// DoneAnnotation is the annotation of a parent that has the children of a definition which have
// finished, as a JSON object: their names, and a hash of what they were.
func DoneAnnotation(installation, definition string) string {
	return "done." + FinalizerOf(installation, definition)
}

// finishes reports whether the child is done when it has finished.
func (d *Desired) finishes() bool {
	return handlers.Finishes(d.ID.Kind) && d.Policy.WhenGone != handlers.WhenGoneRecreate
}

func checkWhenGone(p handlers.ChildPolicy) error {
	switch p.WhenGone {
	case "", handlers.WhenGoneDone, handlers.WhenGoneRecreate:
		return nil
	default:
		return fmt.Errorf("there is no whenGone policy %q: want done or recreate", p.WhenGone)
	}
}

// outcome is what is noted of a child that has finished and was applied with that hash.
func outcome(hash string, failed bool) string {
	const most = len("v1-") + 16
	if hash = hash[:min(len(hash), most)]; failed {
		return hasFailed + hash
	}
	return hash
}

// outcomeOf is what is noted of a Job or Pod as it is; empty if it has not finished.
func outcomeOf(kind schema.GroupKind, applied string, tree map[string]any) string {
	if kind.Kind == "Pod" {
		phase, _, _ := unstructured.NestedString(tree, "status", "phase")
		if phase != "Succeeded" && phase != "Failed" {
			return ""
		}
		return outcome(applied, phase == "Failed")
	}
	if status, _ := conditionOf(tree, "Failed"); status == "True" {
		return outcome(applied, true)
	}
	if status, _ := conditionOf(tree, "Complete"); status == "True" {
		return outcome(applied, false)
	}
	return ""
}

// finished decides on a child that may have finished, and is gone or going. It returns false if it
// has not.
func (in Input) finished(d *Desired) (op Op, done bool) {
	if !d.finishes() {
		return op, false
	}
	said := in.Done[d.Name]
	if strings.TrimPrefix(said, hasFailed) != outcome(d.hash, false) {
		return op, false
	}
	op = Op{Action: Skip, Reason: ReasonDone, Message: "it has finished, and is not made again until what is desired changes", Ready: true}
	if strings.HasPrefix(said, hasFailed) {
		op.Ready, op.NotReady = false, "it has failed and is gone, and is made again when what is desired changes"
	}
	return op, true
}

// done is what is known to have finished: what the parent's annotation says, and what has gone
// since.
func (c *current) done() map[string]string {
	var all map[string]string
	if c.Moves.Concerns(c.Definition) {
		var notes []string
		for _, id := range c.Moves.donorsOf(c.Definition) {
			notes = append(notes, DoneAnnotation(c.Installation, id))
		}
		all = notedIn(c, notes...)
		done, _ := c.Moves.doneBy(c.Definition, parentRefOf(c)) // The cache may not have the note yet.
		maps.Copy(all, done)
		maps.Copy(all, c.doneBefore())
	} else {
		all = c.doneBefore()
	}
	maps.Copy(all, finishedOf(c.Memory, c.parent.UID))
	return all
}

// doneBefore is what the parent's annotation says, and before that those that the definition has
// written under former ids. One that cannot be read says nothing.
func (c *current) doneBefore() map[string]string {
	return notedIn(c, append(formerNotes(c), DoneAnnotation(c.Installation, c.Definition))...)
}

// notedIn is what annotations of the parent say, the last one in the first place.
func notedIn(c *current, names ...string) map[string]string {
	all := map[string]string{}
	for _, name := range names {
		var noted map[string]string
		if json.Unmarshal([]byte(c.meta.Annotations[name]), &noted) == nil {
			maps.Copy(all, noted)
		}
	}
	return all
}

// formerNotes are the annotations of the parent that the definition has written under former ids.
func formerNotes(c *current) (names []string) {
	for _, id := range c.Formerly {
		name := DoneAnnotation(c.Installation, id)
		if _, there := c.meta.Annotations[name]; there {
			names = append(names, name)
		}
	}
	return names
}

// finishing keeps note of the children of a pass that have finished.
type finishing struct{ *pass }

// remember notes in an annotation of the parent which children have finished, so that they are not
// made again when they are gone.
func (f finishing) remember(ctx context.Context) error {
	if known := f.err == nil && f.meta.DeletionTimestamp == nil; !known {
		return nil
	}
	for range statusTries {
		seen, before := finishedOf(f.Memory, f.parent.UID), f.doneBefore()
		next := f.next(before)
		if maps.Equal(before, next) && len(formerNotes(f.current)) == 0 {
			forgetFinished(f.Memory, f.parent.UID, f.settled(seen, next))
			return nil
		}
		err := f.write(ctx, next)
		switch {
		case err == nil, apierrors.IsNotFound(err): // It is noted, or the parent is gone.
			forgetFinished(f.Memory, f.parent.UID, f.settled(seen, next))
			return nil
		case !stale(err):
			return &opError{reason: reasonFor(err), err: fmt.Errorf("noting which children have finished: %w", err)}
		}
		now, ok := f.Parents.GetByUID(f.parent.UID)
		if !ok {
			return nil
		}
		if now.ResourceVersion() == f.object.ResourceVersion() {
			break // The cache does not have the change yet: the retry has it.
		}
		f.setParent(now)
	}
	return &opError{reason: reasonStale, err: errDoneConflict}
}

// settled is what need not be remembered any more of what has finished: it is noted, or is not what
// is desired. The plan may be older than what has finished meanwhile, which the next one is for.
func (f finishing) settled(seen, next map[string]string) map[string]string {
	settled := maps.Clone(seen)
	for _, op := range f.ops {
		if op.Desired == nil || !op.Desired.finishes() {
			continue
		}
		name := op.Desired.Name
		said := strings.TrimPrefix(seen[name], hasFailed)
		if said == outcome(op.Desired.hash, false) && next[name] != seen[name] {
			delete(settled, name)
		}
	}
	return settled
}

// next is what is to be noted now. What cannot be told yet is noted as it is known.
func (f finishing) next(before map[string]string) map[string]string {
	next, known := map[string]string{}, map[string]string{}
	maps.Copy(known, before)
	maps.Copy(known, finishedOf(f.Memory, f.parent.UID))
	for _, pending := range f.composition.Pending {
		for name, said := range known {
			if pending.Name == "" || name == pending.Name || strings.HasPrefix(name, pending.Name+"/") {
				next[name] = said
			}
		}
	}
	done, size := f.done(), 0
	for _, op := range f.ops {
		if op.Desired == nil || !op.Desired.finishes() {
			continue
		}
		name, said := op.Desired.Name, ""
		switch {
		case op.Reason == ReasonDone:
			said = done[name]
		case op.Reason == ReasonAfter && op.Observed == nil:
			said = known[name] // It is decided on later.
		case op.Observed != nil && op.Observed.Whole && op.Observed.marks.applied == op.Desired.hash:
			if tree, err := op.Observed.Tree(); err == nil {
				said = outcomeOf(op.ID.Kind, op.Desired.hash, tree)
			}
		}
		if delete(next, name); said == "" {
			continue
		}
		if size += len(name) + len(said) + len(`"":"",`); size <= maxDone {
			next[name] = said
		}
	}
	f.keepNotes(next)
	return next
}

func (f finishing) write(ctx context.Context, next map[string]string) error {
	var noted any // A null removes it.
	if len(next) > 0 {
		text, err := json.Marshal(next)
		if err != nil {
			return fmt.Errorf("encoding it: %w", err)
		}
		noted = string(text)
	}
	notes := map[string]any{DoneAnnotation(f.Installation, f.Definition): noted}
	for _, name := range formerNotes(f.current) {
		notes[name] = nil
	}
	body, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"uid": f.parent.UID, "resourceVersion": f.object.ResourceVersion(), "annotations": notes,
	}})
	if err != nil {
		return fmt.Errorf("encoding it: %w", err)
	}
	f.Memory.beginParentWrite(f.parent.UID)
	answer, err := f.Client.mergePatch(ctx, target{kind: f.Kind, namespace: f.parent.Namespace, name: f.parent.Name}, body)
	if err != nil {
		answer = nil
	}
	f.Memory.endParentWrite(f.parent.UID, "", answer)
	if err == nil {
		f.setParent(answer)
	}
	return err
}

// noteFinished notes of an object that is gone what it has left, if it had finished. No pass may
// have seen that. The parent is one that there was a moment ago.
func noteFinished(r *Reconciler, parent types.UID, gone handlers.Object) {
	kind := gone.GroupVersionKind().GroupKind()
	if !handlers.Finishes(kind) {
		return
	}
	text, err := gone.JSON()
	if err != nil {
		return
	}
	tree, err := decodeTree(text)
	if err != nil {
		return
	}
	marks := marksOf(gone.Metadata())
	said := outcomeOf(kind, marks.applied, tree)
	if said == "" {
		return
	}
	r.Memory.mu.Lock()
	p := r.Memory.of(parent)
	if p.finished == nil {
		p.finished = map[string]string{}
	}
	p.finished[marks.child] = said
	r.Memory.mu.Unlock()
	if _, there := r.Parents.GetByUID(parent); !there {
		dropUnmet(r.Memory, parent) // It may have been forgotten before this was noted.
	}
}

// dropUnmet drops a parent that is gone, unless a pass has met it since, which forgets it.
func dropUnmet(m *Memory, parent types.UID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if p := m.parents[parent]; p != nil && p.key == (kube.Key{}) {
		delete(m.parents, parent)
	}
}

// finishedOf is what has finished and gone, and is not in the annotation yet.
func finishedOf(m *Memory, parent types.UID) map[string]string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if p := m.parents[parent]; p != nil {
		return maps.Clone(p.finished)
	}
	return nil
}

// forgetFinished forgets what has finished. What has come since is another thing, and stays.
func forgetFinished(m *Memory, parent types.UID, settled map[string]string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.parents[parent]
	if p == nil {
		return
	}
	for name, said := range settled {
		if p.finished[name] == said {
			delete(p.finished, name)
		}
	}
}
