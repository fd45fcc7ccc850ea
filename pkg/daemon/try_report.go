package daemon

import (
	"fmt"
	"maps"
	"reflect"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"kooperd.dev/kooperd/pkg/compose"
	"kooperd.dev/kooperd/pkg/engine"
	"kooperd.dev/kooperd/pkg/offline"
)

// tryReport is what the command prints as JSON.
type tryReport struct {
	Tried []tryResult `json:"tried"`
	Notes []string    `json:"notes,omitempty"`
}

// tryResult is what came of one object.
type tryResult struct {
	Definition   string         `json:"definition"`
	Parent       tryParent      `json:"parent"`
	Excluded     string         `json:"excluded,omitempty"`
	Paused       bool           `json:"paused,omitempty"`
	Error        string         `json:"error,omitempty"`
	Rounds       int            `json:"rounds"`
	Settled      bool           `json:"settled"`
	Children     []tryChild     `json:"children"`
	Patches      []tryChild     `json:"patches"`
	Pending      []tryPending   `json:"pending,omitempty"`
	Problems     []string       `json:"problems,omitempty"`
	StatusWaits  []string       `json:"statusPending,omitempty"`
	Status       map[string]any `json:"status"`
	Conditions   []tryCondition `json:"conditions"`
	tryRemainder                // what is seldom there
}

// tryRemainder is the rest of a tryResult.
type tryRemainder struct {
	Failure    string     `json:"failure,omitempty"`
	Events     []tryEvent `json:"events"`
	At         string     `json:"at,omitempty"` // where in the files the error comes from
	Finalizers []string   `json:"finalizers,omitempty"`
	// Metadata are labels and annotations of the object that would change; null removes one.
	Metadata     map[string]any `json:"metadata,omitempty"`
	RequeueAfter string         `json:"requeueAfter,omitempty"`
	Notes        []string       `json:"notes,omitempty"`
}

type tryParent struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Namespace  string `json:"namespace,omitempty"`
	Name       string `json:"name"`
}

func (p tryParent) String() string {
	if p.Namespace == "" {
		return p.Kind + " " + p.Name
	}
	return p.Kind + " " + p.Namespace + "/" + p.Name
}

// tryChild is one child, or one object that is patched. Object is the object as it would be then,
// or, where that is not made yet, as it is desired; Before is as it was.
type tryChild struct {
	Name       string         `json:"name"`
	APIVersion string         `json:"apiVersion"`
	Kind       string         `json:"kind"`
	Namespace  string         `json:"namespace,omitempty"`
	ObjectName string         `json:"objectName"`
	Action     tryAction      `json:"action"`
	Reason     compose.Reason `json:"reason"`
	Why        string         `json:"why,omitempty"`
	Ready      bool           `json:"ready"`
	Object     map[string]any `json:"object,omitempty"`
	Before     map[string]any `json:"before,omitempty"`
}

func (c tryChild) String() string {
	return tryParent{Kind: c.Kind, Namespace: c.Namespace, Name: c.ObjectName}.String()
}

type tryPending struct {
	Name string `json:"name"`
	On   string `json:"on"`
	Why  string `json:"why,omitempty"`
}

type tryCondition struct {
	Type    string `json:"type"`
	Status  string `json:"status"`
	Reason  string `json:"reason"`
	Message string `json:"message,omitempty"`
}

type tryEvent struct {
	Type    string `json:"type"`
	Reason  string `json:"reason"`
	Message string `json:"message"`
}

// tryAction is what would be done with an object.
type tryAction string

// The actions.
const (
	tryCreate    tryAction = "create"
	tryChange    tryAction = "change"
	tryUnchanged tryAction = "unchanged"
	tryRecreate  tryAction = "recreate"
	tryAdopt     tryAction = "adopt"
	tryDelete    tryAction = "delete"
	tryWithdraw  tryAction = "withdraw"
	tryRetain    tryAction = "retain"
	tryWait      tryAction = "wait"
	tryRefuse    tryAction = "refuse"
)

// actionOf is what an action of the runtime comes to.
func actionOf(action compose.Action, same bool) tryAction {
	switch action {
	case compose.Create:
		return tryCreate
	case compose.Apply, compose.HandOver:
		if same {
			return tryUnchanged
		}
		return tryChange
	case compose.Adopt:
		return tryAdopt
	case compose.Recreate:
		return tryRecreate
	case compose.Delete:
		return tryDelete
	case compose.Withdraw:
		return tryWithdraw
	case compose.Retain:
		return tryRetain
	case compose.Refuse:
		return tryRefuse
	case compose.Skip:
		return tryUnchanged
	default:
		return tryWait
	}
}

// failed reports whether a definition fails for an object, or something would be refused or fails.
func (r tryReport) failed() bool {
	return slices.ContainsFunc(r.Tried, func(t tryResult) bool { return t.Error != "" || t.Failure != "" || t.refused() })
}

// refused reports whether something would be refused.
func (t *tryResult) refused() bool {
	is := func(c tryChild) bool { return c.Action == tryRefuse }
	return slices.ContainsFunc(t.Children, is) || slices.ContainsFunc(t.Patches, is)
}

// What is said of an object that a definition does not handle any more.
const (
	leavesNote    = "if the definition has handled it before, a running kooperd does that now"
	leavesUnknown = "if the definition has handled it before, its children would be deleted now, but for those that are to be kept, " +
		"and what it contributes to other objects would be withdrawn; none of that is known here"
)

// result says what came of one object.
func (r *tryRun) result(c tryChoice, tried *engine.Tried) tryResult {
	o := c.object
	result := tryResult{
		Definition: c.definition.Name, Parent: tryParent{o.GetAPIVersion(), o.GetKind(), tried.Parent.Namespace, o.GetName()},
		Excluded: tried.Excluded, Paused: tried.Paused, Rounds: tried.Rounds, Settled: tried.Settled,
		Children: []tryChild{}, Patches: []tryChild{}, Conditions: []tryCondition{}, Status: map[string]any{},
		tryRemainder: tryRemainder{Events: []tryEvent{}, Notes: tried.Notes},
	}
	if tried.Excluded != "" && tried.Server == nil {
		if tried.Leaves {
			result.Notes = append(result.Notes, leavesUnknown)
		}
		return result
	}
	if tried.Err != nil {
		result.Error, result.At = tried.Err.Error(), r.locate(c.definition, tried.Err)
	}
	if tried.Failure != nil {
		result.Failure = tried.Failure.Error()
	}
	shown := shownObjects{view: r.flags.tryView, server: tried.Server, redact: tried.Redact}
	if r.flags.secrets {
		shown.redact = func(text string) string { return text }
	}
	result.addObjects(shown, tried.Trial)
	if tried.Excluded != "" {
		result.Notes = append(result.Notes, result.leaving())
		return result
	}
	result.addStatus(shown, tried)
	for _, p := range tried.Pending {
		result.Pending = append(result.Pending, tryPending{p.Name, p.On, p.Why})
	}
	result.Problems, result.StatusWaits = tried.Problems, tried.StatusPending
	for _, e := range tried.Events {
		result.Events = append(result.Events, tryEvent(e))
	}
	if tried.RequeueAfter > 0 && tried.Err == nil {
		result.RequeueAfter = tried.RequeueAfter.String()
	}
	if !tried.Settled && tried.Err == nil {
		result.Notes = append(result.Notes, fmt.Sprintf("what the definition makes still changes after %d rounds: it would be called again later", tried.Rounds))
	}
	return result
}

// leaving says what the children of an object are that is not handled any more.
func (t *tryResult) leaving() string {
	if len(t.Children)+len(t.Patches) == 0 {
		return leavesUnknown
	}
	return leavesNote
}

// addObjects adds the children and what is patched.
func (t *tryResult) addObjects(shown shownObjects, trial compose.Trial) {
	waitsFor := map[string]string{}
	for _, c := range trial.Children {
		if !c.Ready {
			waitsFor[c.Name] = c.NotReady
		}
	}
	for _, c := range trial.Children {
		child := tryChild{
			Name: c.Name, APIVersion: c.Kind.GroupVersion().String(), Kind: c.ID.Kind.Kind, Namespace: c.ID.Namespace, ObjectName: c.ID.Name,
			Reason: c.Reason, Ready: c.Ready, Why: c.Message,
		}
		shown.fill(&child, c)
		switch {
		case c.Desired == nil && child.Action == tryWait && c.Reason != compose.ReasonDeleting:
			child.Why = "not desired any more, and waits: " + c.Message
		case c.Reason == compose.ReasonAfter:
			for _, name := range c.After {
				if why := waitsFor[name]; why != "" && child.Why == fmt.Sprintf("it waits for child %s", name) {
					child.Why = fmt.Sprintf("waits for child %s: %s", name, why)
				}
			}
		case child.Why == "" && c.Reason == compose.ReasonNotDesired:
			child.Why = "not desired any more"
		case child.Why == "" && !c.Ready && c.NotReady != "":
			child.Why = "not ready: " + c.NotReady
		}
		t.Children = append(t.Children, child)
	}
	for _, c := range trial.Patches {
		child := tryChild{
			Name: c.Name, APIVersion: c.Kind.GroupVersion().String(), Kind: c.ID.Kind.Kind, Namespace: c.ID.Namespace, ObjectName: c.ID.Name,
			Reason: c.Reason, Why: c.Message,
		}
		shown.fill(&child, compose.TriedChild{ID: c.ID, Action: c.Action, Desired: c.Desired})
		child.Ready = child.Action == tryChange || child.Action == tryUnchanged
		t.Patches = append(t.Patches, child)
	}
}

// addStatus adds what would be written of the parent.
func (t *tryResult) addStatus(shown shownObjects, tried *engine.Tried) {
	before, now := tried.Server.Before(tried.Parent), tried.Server.Now(tried.Parent)
	for _, c := range tried.Conditions {
		status := "False"
		if c.Status {
			status = "True"
		}
		t.Conditions = append(t.Conditions, tryCondition{c.Type, status, c.Reason, c.Message})
	}
	if before == nil || now == nil {
		return
	}
	for _, name := range now.GetFinalizers() {
		if !slices.Contains(before.GetFinalizers(), name) {
			t.Finalizers = append(t.Finalizers, name)
		}
	}
	t.Metadata, _ = shown.redacted(changedMarks(before, now)).(map[string]any)
	status, _, _ := unstructured.NestedMap(now.Object, "status")
	own, _, _ := unstructured.NestedSlice(status, "conditions")
	if len(own) > 0 {
		t.Conditions = nil
	}
	for _, item := range own {
		c, _ := item.(map[string]any)
		text := func(name string) string {
			value, _ := c[name].(string)
			return value
		}
		t.Conditions = append(t.Conditions, tryCondition{text("type"), text("status"), text("reason"), text("message")})
	}
	delete(status, "conditions")
	if status != nil {
		t.Status, _ = shown.redacted(status).(map[string]any)
	}
}

// shownObjects makes objects as they are shown.
type shownObjects struct {
	view   tryView
	server *offline.Server
	redact func(string) string
}

// fill adds to a child what would be done with it, and what it is before and after.
func (s shownObjects) fill(c *tryChild, tried compose.TriedChild) {
	id, action, desired := tried.ID, tried.Action, tried.Desired
	key := offline.Key{GroupKind: id.Kind, Namespace: id.Namespace, Name: id.Name}
	before, now := s.server.Before(key), s.server.Now(key)
	c.Action = actionOf(action, false)
	switch c.Action {
	case tryRefuse, tryWait:
		now = nil
		if desired != nil {
			now = &unstructured.Unstructured{Object: desired}
		}
		before = nil // It is not changed.
	case tryDelete:
		now = nil
	}
	was, is := s.clean(before), s.clean(now)
	if action == compose.Apply || action == compose.HandOver {
		c.Action = actionOf(action, reflect.DeepEqual(was, is))
	}
	if tried.Generated && !s.view.secrets {
		was, is = withoutGenerated(was, desired), withoutGenerated(is, desired)
	}
	c.Before, c.Object = s.masked(id, was, is)
	if c.Action == tryUnchanged {
		c.Before = nil
	}
}

// noise are fields that say which state of an object it is, and nothing of what it should be.
var noise = []string{"uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "selfLink"}

// lastApplied is what kubectl apply keeps; it has everything once more.
const lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

// clean is an object without what does not concern the reader; nil for none.
func (s shownObjects) clean(o *unstructured.Unstructured) map[string]any {
	if o == nil {
		return nil
	}
	o = o.DeepCopy()
	delete(o.Object, "status")
	for _, name := range noise {
		unstructured.RemoveNestedField(o.Object, "metadata", name)
	}
	unstructured.RemoveNestedField(o.Object, "metadata", "annotations", lastApplied)
	if !s.view.marks {
		removeMarks(o)
	}
	for _, name := range []string{"labels", "annotations"} {
		if m, ok, _ := unstructured.NestedMap(o.Object, "metadata", name); ok && len(m) == 0 {
			unstructured.RemoveNestedField(o.Object, "metadata", name)
		}
	}
	return o.Object
}

// removeMarks takes away what is kooperd's own.
func removeMarks(o *unstructured.Unstructured) {
	parent := o.GetLabels()[compose.ParentUIDLabel]
	for _, name := range []string{"labels", "annotations"} {
		all, ok, _ := unstructured.NestedMap(o.Object, "metadata", name)
		if !ok {
			continue
		}
		maps.DeleteFunc(all, func(key string, _ any) bool { return compose.IsMark(key) })
		_ = unstructured.SetNestedMap(o.Object, all, "metadata", name) // It was one.
	}
	owners := slices.DeleteFunc(o.GetOwnerReferences(), func(owner metav1.OwnerReference) bool { return parent != "" && string(owner.UID) == parent })
	if o.SetOwnerReferences(owners); len(owners) == 0 {
		unstructured.RemoveNestedField(o.Object, "metadata", "ownerReferences")
	}
}
