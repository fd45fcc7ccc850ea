package compose

import (
	"cmp"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// fieldsShown is how many fields of a manager are named.
const fieldsShown = 3

// OtherManager is a field manager besides kooperd that owns fields of an object.
type OtherManager struct {
	// Manager is its name.
	Manager string `json:"manager"`
	// Subresource is where it writes; empty for the object itself.
	Subresource string `json:"subresource,omitempty"`
	// Fields are the first of its fields, and More is how many there are besides. Of a subresource,
	// they are those at the top.
	Fields []string `json:"fields"`
	More   int      `json:"more,omitempty"`
}

// otherManagers returns who else owns fields of an object, those of the object itself first.
// Entries that cannot be read are left out.
func otherManagers(entries []metav1.ManagedFieldsEntry) []OtherManager {
	type writer struct{ manager, subresource string }
	sets := map[writer]*fieldpath.Set{}
	for _, entry := range entries {
		if entry.Manager == FieldManager || entry.Manager == CreateManager {
			continue
		}
		set, err := fieldsOf(entry)
		if err != nil {
			continue
		}
		key := writer{entry.Manager, entry.Subresource}
		if before := sets[key]; before != nil {
			set = before.Union(set)
		}
		sets[key] = set
	}
	all := []OtherManager{}
	for key, set := range sets {
		m := OtherManager{Manager: key.manager, Subresource: key.subresource, Fields: []string{}}
		texts := fieldTexts(set, key.subresource != "")
		m.More = max(len(texts)-fieldsShown, 0)
		m.Fields = append(m.Fields, texts[:len(texts)-m.More]...)
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b OtherManager) int {
		return cmp.Or(strings.Compare(a.Subresource, b.Subresource), strings.Compare(a.Manager, b.Manager))
	})
	return all
}

// fieldTexts are the leaves of a set as people write them, or only what they begin with.
func fieldTexts(set *fieldpath.Set, top bool) (texts []string) {
	set.Leaves().Iterate(func(path fieldpath.Path) {
		if top {
			path = path[:1]
		}
		texts = append(texts, strings.TrimPrefix(path.String(), "."))
	})
	slices.Sort(texts)
	return slices.Compact(texts)
}
