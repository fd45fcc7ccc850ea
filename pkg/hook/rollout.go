package hook

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"kooperd.dev/kooperd/pkg/handlers"
)

// updatedCondition is the type of the condition that says how far an update of the children is.
const updatedCondition = "Updated"

// rolls reports whether the children of a kind are updated one after the other.
func (c Child) rolls() bool { return c.Update == RollingInPlace || c.Update == RollingRecreate }

// rolls reports whether there is such a kind.
func (c Config) rolls() bool {
	for _, child := range c.Children {
		if child.rolls() {
			return true
		}
	}
	return false
}

// rollout is an update of the children of one parent, one after the other.
type rollout struct {
	*revisions
	kinds    map[string]Child           // those of the children that roll, by the name of the child
	observed map[string]handlers.Object // these children, by the same
	desired  []handlers.Child
	waiting  []int         // which of them are still made by older revisions
	noted    string        // the message of the condition as the parent has it
	again    time.Duration // see noteInterval
}

// noteInterval is the time until the call after one that could not move a child because the move
// before it was not in the parent's status yet.
const noteInterval = time.Second

// rollOut asks the hook about each revision, and moves at most one child to the latest.
func (c *composer) rollOut(ctx context.Context, hook Name, req handlers.ComposeRequest, asked []handlers.Related) (said, error) {
	r := &rollout{kinds: map[string]Child{}, observed: map[string]handlers.Object{}}
	var err error
	if r.noted, err = notedIn(req.Object); err != nil {
		return said{}, err
	}
	at := map[string]string{}
	m := maker{parent: req.Object}
	for _, kind := range c.config.Children {
		if !kind.rolls() {
			continue
		}
		for _, child := range req.Children.OfKind(kind.APIVersion, kind.Kind) {
			name := m.name(kind, child.Object.Namespace(), child.Object.Name())
			r.observed[name], at[name] = child.Object, child.Object.Metadata().Annotations[revisionAnnotation]
		}
	}
	if r.revisions, err = c.revisionsOf(req, at); err != nil {
		return said{}, err
	}
	for _, revision := range r.sorted() {
		err := c.askAbout(ctx, hook, req, asked, revision)
		switch {
		case err != nil && revision != r.latest:
			return said{}, fmt.Errorf("asking about the revision %s, by which children are made that are not updated yet: %w", revision.name, err)
		case err != nil:
			return said{}, err
		}
	}
	return r.result(c, req)
}

// askAbout asks the hook about the parent as it was.
func (c *composer) askAbout(ctx context.Context, hook Name, req handlers.ComposeRequest, asked []handlers.Related, r *revision) error {
	req.Object = r.parent
	var err error
	if r.said, err = c.call(ctx, hook, req, asked); err != nil {
		return err
	}
	r.byName = make(map[string]handlers.Child, len(r.said.children))
	for _, child := range r.said.children {
		r.byName[child.Name] = child
	}
	return nil
}

// result is the answer about the latest revision, with children that wait as they were.
func (r *rollout) result(c *composer, req handlers.ComposeRequest) (said, error) {
	for _, child := range r.latest.said.children {
		r.assign(c, child)
	}
	state, reason, message := r.move()
	result := r.latest.said
	result.resyncAfter = soonest(result.resyncAfter, r.again)
	result.children = r.desired
	used := map[string]bool{}
	for _, child := range r.desired {
		for _, name := range child.After {
			used[name] = true
		}
	}
	for _, revision := range r.sorted() {
		// In a namespace that is being deleted, none can be made, and what waits for one would
		// keep other children from being deleted.
		if revision == r.latest && !req.Finalizing || used[revision.childName()] {
			result.children = append(result.children, revision.child())
		}
		result.finalized = result.finalized && revision.said.finalized
		result.resyncAfter = soonest(result.resyncAfter, revision.said.resyncAfter)
	}
	updated := map[string]any{"type": updatedCondition, "status": state, "reason": reason, "message": message}
	if result.status == nil { // The rest stays, whoever it is of.
		result.conditions = handlers.Conditions{updated}
		return result, nil
	}
	return result, addCondition(result.status, updated)
}

func soonest(a, b time.Duration) time.Duration {
	if a == 0 || b > 0 && b < a {
		return b
	}
	return a
}

// assign finds the revision that a child is made by now. One that waits is made by an older one as
// before; all others are, or come, to the latest.
func (r *rollout) assign(c *composer, child handlers.Child) {
	gvk := child.Object.GetObjectKind().GroupVersionKind()
	var kind Child
	for _, declared := range c.config.Children {
		if declared.APIVersion == gvk.GroupVersion().String() && declared.Kind == gvk.Kind {
			kind = declared
		}
	}
	if !kind.rolls() {
		r.desired = append(r.desired, child)
		return
	}
	r.kinds[child.Name] = kind
	older := r.older[r.at[child.Name]]
	if older != nil {
		if was, there := older.byName[child.Name]; there && !reflect.DeepEqual(was.Object, child.Object) {
			r.waiting = append(r.waiting, len(r.desired))
			r.desired = append(r.desired, older.own(was))
			return
		}
	}
	r.desired = append(r.desired, r.latest.own(child))
}

// own marks a child as one of a revision. It comes after the object of the revision: a child whose
// revision is not known could not be left as it is.
func (r *revision) own(child handlers.Child) handlers.Child {
	child.After = append(child.After, r.childName())
	object, _ := child.Object.(*unstructured.Unstructured)
	object = object.DeepCopy()
	annotations := object.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[revisionAnnotation] = r.name
	object.SetAnnotations(annotations)
	child.Object = object
	return child
}

// move moves the first child that waits, if all is well with those of the latest revision. It
// returns the condition. The message begins with how many children wait for which revision: that
// notes each move.
func (r *rollout) move() (status, reason, message string) {
	if len(r.waiting) == 0 {
		return "True", "OnLatestRevision", "all children are made by the latest revision, " + r.latest.name
	}
	waits := make(map[string]bool, len(r.waiting))
	for _, i := range r.waiting {
		waits[r.desired[i].Name] = true
	}
	note := noteOf(len(r.waiting), r.latest.name)
	moved := false
	for _, child := range r.desired {
		kind, rolls := r.kinds[child.Name]
		if !rolls || waits[child.Name] {
			continue
		}
		if why := r.unwell(kind, child.Name); why != "" {
			return "False", "RolloutWaiting", note + child.Name + " " + why
		}
		moved = true
	}
	if moved && r.noted != "" && !strings.HasPrefix(r.noted, note) {
		r.again = noteInterval
		return "False", "RolloutWaiting", note + "the one that was updated last has had no time yet"
	}
	next := r.waiting[0]
	name := r.desired[next].Name
	r.desired[next] = r.latest.own(r.latest.byName[name])
	return "False", "RolloutProgressing", note + "updating " + name
}

// noteOf is how the message begins while children wait.
func noteOf(waiting int, revision string) string {
	return fmt.Sprintf("%d children wait for the revision %s: ", waiting, revision)
}

// notedIn is the message of the condition in the status of a parent, empty if there is none. A
// composer is called several times in a row, with what was written in between, and the status is
// written after that: what it notes was so at the end of a call for the parent.
func notedIn(parent handlers.Object) (string, error) {
	var o struct {
		Status struct {
			Conditions []struct {
				Type    string `json:"type"`
				Message string `json:"message"`
			} `json:"conditions"`
		} `json:"status"`
	}
	if err := parentInto(parent, &o); err != nil {
		return "", fmt.Errorf("reading the conditions of the parent: %w", err)
	}
	for _, c := range o.Status.Conditions {
		if c.Type == updatedCondition {
			return c.Message, nil
		}
	}
	return "", nil
}

// unwell says what is wrong with a child of the latest revision; empty for nothing.
func (r *rollout) unwell(kind Child, name string) string {
	object, there := r.observed[name]
	switch {
	case !there:
		return "is not there"
	case object.Metadata().DeletionTimestamp != nil:
		return "is being deleted"
	case r.at[name] != r.latest.name:
		return "is not updated yet"
	}
	var o struct {
		Status struct {
			ObservedGeneration int64 `json:"observedGeneration"`
		} `json:"status"`
	}
	if err := parentInto(object, &o); err != nil {
		return err.Error()
	}
	if seen := o.Status.ObservedGeneration; seen > 0 && seen < object.Metadata().Generation {
		return "has not seen its last change yet"
	}
	return failedCheck(kind.StatusChecks, object)
}

// failedCheck says which of the checks a child does not pass.
func failedCheck(checks []StatusCheck, object handlers.Object) string {
	if len(checks) == 0 {
		return ""
	}
	var o struct {
		Status struct {
			Conditions []StatusCheck `json:"conditions"`
		} `json:"status"`
	}
	if err := parentInto(object, &o); err != nil {
		return err.Error()
	}
	for _, check := range checks {
		found := false
		for _, c := range o.Status.Conditions {
			if c.Type != check.Type {
				continue
			}
			found = true
			switch {
			case check.Status != "" && c.Status != check.Status:
				return fmt.Sprintf("has the condition %s %q, want %q", c.Type, c.Status, check.Status)
			case check.Reason != "" && c.Reason != check.Reason:
				return fmt.Sprintf("has the condition %s for the reason %q, want %q", c.Type, c.Reason, check.Reason)
			}
		}
		if !found {
			return fmt.Sprintf("has no condition %s", check.Type)
		}
	}
	return ""
}

// addCondition puts a condition into a status.
func addCondition(status map[string]any, condition map[string]any) error {
	given, ok := status["conditions"].([]any)
	if value, there := status["conditions"]; there && !ok && value != nil {
		return mistake("status.conditions", fmt.Sprintf("is %s, want a list", handlers.KindOfJSON(value)))
	}
	var conditions []any
	for _, other := range given {
		if c, ok := other.(map[string]any); !ok || c["type"] != updatedCondition {
			conditions = append(conditions, other)
		}
	}
	status["conditions"] = append(conditions, condition)
	return nil
}
