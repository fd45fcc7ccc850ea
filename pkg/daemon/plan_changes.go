package daemon

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"kooperd.dev/kooperd/pkg/compose"
	"kooperd.dev/kooperd/pkg/engine"
	"kooperd.dev/kooperd/pkg/offline"
)

// add adds what a definition would do.
func (c *planCommand) add(ctx context.Context, d *engine.PlannedDefinition) {
	name := d.Definition.Name
	sum := planDefinition{Name: name, State: d.State, Objects: d.Objects, Why: d.Why}
	sum.New = d.State == engine.PlanDone && !d.Foreseen.Known
	switch d.State {
	case engine.PlanForbidden, engine.PlanFailed:
		c.report.Failures = append(c.report.Failures, planFailure{Definition: name, Error: d.Why})
	case engine.PlanNotRun:
		c.report.Failures = append(c.report.Failures, planFailure{Definition: name, Error: sum.Why})
	}
	if d.State == engine.PlanForbidden || len(d.Missing) > 0 {
		sum.Missing = c.missingRights(ctx, d)
	}
	if d.Held > 0 {
		sum.Notes = append(sum.Notes, fmt.Sprintf("the file has not changed the definition, so at most %d of its %d children are deleted in ten minutes: "+
			"%d are held until somebody confirms it", compose.BrakeAllows(d.Children), d.Children, d.Held))
	}
	for _, f := range d.Failed {
		parent := tryParent{Kind: f.Parent.Kind, Namespace: f.Parent.Namespace, Name: f.Parent.Name}
		c.report.Failures = append(c.report.Failures, planFailure{Definition: name, Object: &parent, Error: f.Err.Error()})
	}
	paused := 0
	for _, tried := range d.Tried {
		if tried.Paused {
			paused++
		}
		c.addTried(d, tried)
	}
	if paused > 0 {
		sum.Notes = append(sum.Notes, fmt.Sprintf("%d of the objects are paused, and left alone", paused))
	}
	if note := rolloutNote(d); note != "" {
		sum.Notes = append(sum.Notes, note)
	}
	for _, left := range d.Leftovers {
		c.addLeftover(d, left)
	}
	c.report.Definitions = append(c.report.Definitions, sum)
}

// addTried adds what becomes of one object.
func (c *planCommand) addTried(d *engine.PlannedDefinition, tried *engine.Tried) {
	kind := d.Definition.Watch.Kind
	object := tryParent{APIVersion: kind.GroupVersion().String(), Kind: kind.Kind, Namespace: tried.Parent.Namespace, Name: tried.Parent.Name}
	switch {
	case tried.Err != nil:
		c.report.Failures = append(c.report.Failures, planFailure{
			Definition: d.Definition.Name, Object: &object, Error: tried.Err.Error(), At: c.locate(d.Definition, tried.Err),
		})
	case tried.Failure != nil && !refuses(tried):
		c.report.Failures = append(c.report.Failures, planFailure{Definition: d.Definition.Name, Object: &object, Error: tried.Failure.Error()})
	}
	shown := shownObjects{view: c.plan.tryView, server: tried.Server, redact: tried.Redact}
	if c.plan.secrets {
		shown.redact = func(text string) string { return text }
	}
	var result tryResult
	result.addObjects(shown, tried.Trial)
	unconfirmed := offline.Unconfirmed(tried.Server)
	for key, why := range unconfirmed {
		unconfirmed[key] = shown.redact(why) // An API server may quote what it was given.
	}
	base := planChange{Definition: d.Definition.Name, Object: object}
	for i, child := range result.Children {
		c.addChild(base, d, tried, tried.Children[i], child, unconfirmed)
	}
	for _, patch := range result.Patches {
		if patch.Action == tryUnchanged {
			continue
		}
		change := base.of(patch, unconfirmed)
		change.Patch = true
		c.report.Changes = append(c.report.Changes, change)
	}
	if tried.Excluded == "" {
		c.addObject(base, shown, tried)
	}
}

// refuses reports whether something of an object would be refused, which says why it fails.
func refuses(tried *engine.Tried) bool {
	return slices.ContainsFunc(tried.Children, func(c compose.TriedChild) bool { return c.Action == compose.Refuse }) ||
		slices.ContainsFunc(tried.Patches, func(p compose.TriedPatch) bool { return p.Action == compose.Refuse })
}

// of is a change of a child.
func (c *planChange) of(child tryChild, unconfirmed map[offline.Key]string) planChange {
	change := *c
	change.Action, change.Reason, change.Child, change.Why = planAction(child.Action), child.Reason, child.Name, child.Why
	change.APIVersion, change.Kind, change.Namespace, change.Name = child.APIVersion, child.Kind, child.Namespace, child.ObjectName
	change.Before, change.After = child.Before, child.Object
	group, _, found := strings.Cut(child.APIVersion, "/")
	if !found {
		group = ""
	}
	key := offline.Key{Namespace: child.Namespace, Name: child.ObjectName}
	key.Group, key.Kind = group, child.Kind
	if change.Unconfirmed = unconfirmed[key]; change.Action == planAction(tryWait) || change.Action == planAction(tryRefuse) {
		change.Unconfirmed = ""
	}
	return change
}

// addChild adds what becomes of a child.
func (c *planCommand) addChild(
	base planChange, d *engine.PlannedDefinition, tried *engine.Tried, of compose.TriedChild, child tryChild, unconfirmed map[offline.Key]string,
) {
	change := base.of(child, unconfirmed)
	key := offline.Key{GroupKind: of.ID.Kind, Namespace: of.ID.Namespace, Name: of.ID.Name}
	before, now := tried.Server.Before(key), tried.Server.Now(key)
	maker := ""
	if before != nil {
		maker = before.GetLabels()[compose.DefinitionLabel]
	}
	writes := of.Action == compose.Apply || of.Action == compose.HandOver
	switch {
	case of.Reason == compose.ReasonPruneHeld:
		change.Action = planHold
	case writes && of.Reason == compose.ReasonMoved, writes && maker != "" && maker != d.Definition.IDs()[0]:
		change.Action, change.Why = planHandOver, fmt.Sprintf("it was made by definition %s", maker)
	case writes && child.Action == tryUnchanged && isOther(before, now):
		change.Action, change.Before, change.After = planAction(tryChange), nil, nil
		change.Why = "only what kooperd notes on it changes, or which of its fields are kooperd's"
	case change.Action == planAction(tryUnchanged):
		return
	case of.Action == compose.Delete && tried.Excluded != "":
		change.Why = tried.Excluded
	case of.Action == compose.Apply && of.Reason == compose.ReasonDrift && change.Why == "":
		change.Why = "another party has changed it"
	}
	c.report.Changes = append(c.report.Changes, change)
}

// isOther reports whether an object is changed by a write, be it in what is not shown.
func isOther(before, now *unstructured.Unstructured) bool {
	return before == nil || now == nil || !reflect.DeepEqual(stored(before), stored(now))
}

// stored is an object as it is stored, without what every write changes.
func stored(o *unstructured.Unstructured) map[string]any {
	o = o.DeepCopy()
	for _, name := range []string{"resourceVersion", "generation"} {
		unstructured.RemoveNestedField(o.Object, "metadata", name)
	}
	delete(o.Object, "status")
	entries := o.GetManagedFields()
	for i := range entries {
		entries[i].Time = nil
	}
	o.SetManagedFields(entries)
	return o.Object
}

// addObject adds what becomes of the object itself.
func (c *planCommand) addObject(base planChange, shown shownObjects, tried *engine.Tried) {
	before, now := tried.Server.Before(tried.Parent), tried.Server.Now(tried.Parent)
	if before == nil {
		return
	}
	change := base
	change.Action, change.Reason = planObject, compose.ReasonChanged
	change.APIVersion, change.Kind, change.Namespace, change.Name = base.Object.APIVersion, base.Object.Kind, base.Object.Namespace, base.Object.Name
	change.Unconfirmed = shown.redact(offline.Unconfirmed(tried.Server)[tried.Parent])
	if now == nil {
		change.Why = "its last finalizer would be removed: it goes"
		c.report.Changes = append(c.report.Changes, change)
		return
	}
	var parts []string
	change.Before, change.After = map[string]any{}, map[string]any{}
	if was, is := timeless(before), timeless(now); !reflect.DeepEqual(was, is) {
		parts = append(parts, "status")
		change.Before["status"], change.After["status"] = shown.redacted(was), shown.redacted(is)
	}
	if marks := changedMarks(before, now); len(marks) > 0 {
		parts = append(parts, "labels or annotations")
		change.After["metadata"] = shown.redacted(marks)
	}
	if !slices.Equal(before.GetFinalizers(), now.GetFinalizers()) {
		parts = append(parts, "finalizers")
		change.Before["finalizers"], change.After["finalizers"] = before.GetFinalizers(), now.GetFinalizers()
	}
	if len(parts) == 0 {
		return
	}
	change.Why = "its " + strings.Join(parts, ", and its ")
	c.report.Changes = append(c.report.Changes, change)
}

// timeless is the status of an object without the times of its conditions, which follow the rest.
func timeless(o *unstructured.Unstructured) map[string]any {
	status, _, _ := unstructured.NestedMap(o.Object, "status")
	conditions, _, _ := unstructured.NestedSlice(status, "conditions")
	for _, item := range conditions {
		if c, ok := item.(map[string]any); ok {
			delete(c, "lastTransitionTime")
		}
	}
	if len(conditions) > 0 {
		status["conditions"] = conditions
	}
	return status
}

// addLeftover adds what becomes of an object that a definition has left behind.
func (c *planCommand) addLeftover(d *engine.PlannedDefinition, left compose.Leftover) {
	change := planChange{
		Definition: d.Definition.Name, Action: planAction(actionOf(left.Action, false)), Reason: left.Reason, Child: left.Child, Patch: left.Patched,
		APIVersion: left.Kind.GroupVersion().String(), Kind: left.Kind.Kind, Namespace: left.ID.Namespace, Name: left.ID.Name, Why: left.Message,
		Unconfirmed: d.Unconfirmed[offline.Key{GroupKind: left.ID.Kind, Namespace: left.ID.Namespace, Name: left.ID.Name}],
	}
	change.Object.Name = left.Parent
	if namespace, name, ok := strings.Cut(left.Parent, "/"); ok {
		change.Object.Namespace, change.Object.Name = namespace, name
	}
	switch left.Action {
	case compose.MakeOrphan:
		change.Action = planOrphan
	case compose.Unfinalize:
		change.Action, change.Why = planObject, "kooperd's finalizer is removed from it"
		change.Object.APIVersion, change.Object.Kind = change.APIVersion, change.Kind
	default:
	}
	if change.Why == "" && left.Reason == compose.ReasonRemoved {
		change.Why = "the definition does not handle its object any more (onRemove)"
		if d.State == engine.PlanGone {
			change.Why = "the definition is gone from the file (onRemove)"
		}
	}
	c.report.Changes = append(c.report.Changes, change)
}

// dropDonors removes what definitions say of children that others take over, who say it, too.
func (c *planCommand) dropDonors() {
	taken := map[string]string{}
	for _, change := range c.report.Changes {
		if change.Action == planHandOver {
			taken[change.String()] = change.Definition
		}
	}
	c.report.Changes = slices.DeleteFunc(c.report.Changes, func(change planChange) bool {
		heir := taken[change.String()]
		return change.Action == planAction(tryWait) && change.Reason == compose.ReasonMoving && heir != "" && heir != change.Definition
	})
	c.dropDuplicates()
	c.report.sort()
	c.report.count()
}

// dropDuplicates refuses what two objects would both make: each is worked out by itself.
func (c *planCommand) dropDuplicates() {
	made := map[string]tryParent{}
	for i := range c.report.Changes {
		change := &c.report.Changes[i]
		if change.Action != planAction(tryCreate) || change.Patch {
			continue
		}
		of := change.APIVersion + " " + change.String()
		if first, known := made[of]; known && first != change.Object {
			change.Action, change.Reason, change.Why = planAction(tryRefuse), compose.ReasonOtherParent, fmt.Sprintf("%s makes it, too", first)
			continue
		}
		made[of] = change.Object
	}
}
