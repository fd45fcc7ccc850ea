package compose

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// patchedKinds are the kinds of objects to which parents may contribute, or may have contributed.
func (s *OrphanSearch) patchedKinds() kindsToList {
	var all kindsToList
	add := func(patched []OwnedRecord) {
		for _, o := range patched {
			all.add(schema.FromAPIVersionAndKind(o.APIVersion, o.Kind), o.Namespaces...)
		}
	}
	for _, claim := range s.Claims {
		add(claim.Patches)
	}
	for _, id := range slices.Sorted(maps.Keys(s.Records)) {
		add(s.Records[id].Patches)
		for _, left := range s.Records[id].Left {
			add(left.Patches)
		}
	}
	slices.SortStableFunc(all, func(a, b *kindToList) int { return strings.Compare(a.kind.String(), b.kind.String()) })
	return all
}

// findContributions looks at all objects of the kinds that are patched, whatever labels they have:
// somebody may have taken off that of the patches.
func (s *OrphanSearch) findContributions(ctx context.Context, all *Orphans) error {
	for _, k := range s.patchedKinds() {
		err := all.visit(*k, func(q query) error {
			return listManaged(ctx, s.Client, q, func(object *metav1.PartialObjectMetadata) {
				for _, c := range contributionsTo(q.kind, object) {
					if c.installation == s.Installation || c.installation == "" && s.knows(c.definition) {
						all.contributions = append(all.contributions, c)
					}
				}
			})
		})
		if err != nil {
			return err
		}
	}
	all.Patches = len(all.contributions)
	return nil
}

// knows reports whether there is, or was, a definition of that id.
func (s *OrphanSearch) knows(id string) bool {
	_, recorded := s.Records[id]
	return recorded || (&orphanJudge{claims: s.Claims}).claimOf(id) != nil
}

// judgePatch returns what a contribution is as an orphan, or false when it is withdrawn in time.
func (j *orphanJudge) judgePatch(c contribution) (Orphan, bool) {
	apiVersion, kind := c.kind.ToAPIVersionAndKind()
	found := Orphan{
		ObjectRef: ObjectRef{APIVersion: apiVersion, Kind: kind, Namespace: c.id.Namespace, Name: c.id.Name, UID: c.uid},
		Patch:     true, Manager: c.manager, Definition: c.definition, Parent: ObjectRef{UID: c.parent},
		Proven: c.installation == j.installation, Created: metav1.NewTime(c.changed),
	}
	if parent, there := j.parents.present[c.parent]; there {
		found.Parent = parent
	}
	var why []string
	because := func(reason OrphanReason, text string) {
		found.Reasons, why = append(found.Reasons, reason), append(why, text)
	}
	switch claim := j.claimOf(c.definition); {
	case claim == nil:
		because(OrphanNoDefinition, fmt.Sprintf("no definition has the id %q", c.definition))
	case !slices.ContainsFunc(claim.Patches, func(o OwnedRecord) bool { return o.GroupKind() == c.id.Kind }):
		because(OrphanKindNotPatched, fmt.Sprintf("definition %s does not patch kind %s", claim.IDs[0], kind))
	}
	kinds := j.kindsHandled(c.definition, c.changed)
	if len(kinds) > 0 && !j.parents.has(c.parent) && j.parents.allSeen(kinds, "") {
		because(OrphanNoParent, "its parent is gone")
	}
	if !found.Proven {
		because(OrphanUnmarked, fmt.Sprintf("the label %s was taken off", PatchedLabel(j.installation)))
	}
	found.Why = strings.Join(why, "; ")
	return found, len(why) > 0
}

// withdraw removes from an object what an orphaned patch has there, and nothing else.
func (d *OrphanDeletion) withdraw(ctx context.Context, o Orphan) (OrphanOutcome, string) {
	if !o.Proven {
		return OrphanKept, "without the label, nothing says that it is of this installation"
	}
	if outcome, text := d.askLeader(ctx, o); outcome != "" {
		return outcome, text
	}
	kind := schema.FromAPIVersionAndKind(o.APIVersion, o.Kind)
	id := ChildID{Kind: kind.GroupKind(), Namespace: o.Namespace, Name: o.Name}
	t := target{kind: kind, namespace: o.Namespace, name: o.Name, metadataOnly: true}
	text, err := d.Client.getManaged(ctx, t)
	var object metav1.PartialObjectMetadata
	if err == nil {
		err = json.Unmarshal(text, &object)
	}
	switch {
	case apierrors.IsNotFound(err):
		return OrphanWithdrawn, "the object is gone already"
	case err != nil:
		return OrphanFailed, fmt.Sprintf("reading the object: %v", err)
	case object.UID != o.UID:
		return OrphanKept, "another object has its name by now"
	}
	all := contributionsTo(kind, &object)
	i := slices.IndexFunc(all, func(c contribution) bool { return c.manager == o.Manager })
	switch {
	case i < 0:
		return OrphanWithdrawn, "nothing is contributed any more"
	case all[i].installation != d.Orphans.judge.installation:
		return OrphanKept, "it is not provably of this installation any more"
	}
	body, err := emptyBody(kind, id, o.UID)
	if err == nil {
		_, err = applyPatch(ctx, d.Client, t, o.Manager, body)
	}
	if err != nil && !apierrors.IsNotFound(err) {
		return OrphanFailed, err.Error()
	}
	return OrphanWithdrawn, ""
}
