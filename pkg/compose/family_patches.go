package compose

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// addPatches adds what the members of a family contribute to other objects. Whatever contributes
// has the finalizer of its definition, which names the installation. With an error it has added
// those that were found until then.
func (f *Family) addPatches(ctx context.Context, members map[types.UID]*Member) error {
	var installations []string
	for _, m := range members {
		for _, name := range m.Finalizers {
			host, _, _ := strings.Cut(name, "/")
			if installation := strings.TrimSuffix(host, "."+finalizerDomain); !slices.Contains(installations, installation) {
				installations = append(installations, installation)
			}
		}
	}
	if len(installations) == 0 {
		return nil
	}
	slices.Sort(installations)
	selectors := make([]string, len(installations))
	for i, installation := range installations {
		selectors[i] = PatchedLabel(installation) + "=" + PatchedValue
	}
	found, failure := f.listAll(ctx, selectors)
	for _, o := range found {
		if err := addPatchesOf(o, members); err != nil {
			return err
		}
	}
	for _, m := range members {
		slices.SortFunc(m.Patches, func(a, b *MemberPatch) int {
			return cmp.Or(
				strings.Compare(a.Kind, b.Kind), strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name),
				strings.Compare(a.Definition, b.Definition),
			)
		})
	}
	return failure
}

// addPatchesOf adds to the members what they contribute to an object. One that was found twice is
// added once.
func addPatchesOf(o observedChild, members map[types.UID]*Member) error {
	object := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
		Namespace: o.ID.Namespace, Name: o.ID.Name, UID: o.UID, ManagedFields: o.Managers,
	}}
	for _, c := range contributionsTo(o.kind, object) {
		m := members[c.parent]
		if m == nil || slices.ContainsFunc(m.Patches, func(p *MemberPatch) bool { return p.UID == c.uid && p.Definition == c.definition }) {
			continue
		}
		tree, err := o.Tree()
		if err != nil {
			return fmt.Errorf("reading %s: %w", o.ID, err)
		}
		p := &MemberPatch{ObjectRef: refOf(o), Definition: c.definition, Installation: c.installation, Fields: c.texts()}
		p.State, p.Why = healthOf(o.ID.Kind, tree)
		p.Managers = slices.DeleteFunc(otherManagers(o.Managers), func(other OtherManager) bool { return other.Manager == c.manager })
		m.Patches = append(m.Patches, p)
	}
	return nil
}
