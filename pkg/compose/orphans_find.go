package compose

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kinds"
)

// OrphanSearch looks for children of an installation that nothing owns any more, and for what its
// parents contribute to other objects and nobody withdraws. It needs the right to list the kinds of
// children, of these objects and of parents, and changes nothing.
type OrphanSearch struct {
	// Installation is the mark of the children.
	Installation string
	// Claims are what the definitions own.
	Claims []Claim
	// Records are those of the installation, see ReadRecords.
	Records map[string]Record
	// Client makes the requests.
	Client *Client
}

// Orphans is what a search has found.
type Orphans struct {
	// Found are the orphans, by kind, namespace and name.
	Found []Orphan
	// Children is how many objects carry the mark of the installation.
	Children int
	// Patches is how many things parents contribute to other objects.
	Patches int
	// Unseen says what could not be looked at, a line for each.
	Unseen []string

	judge         *orphanJudge
	children      []observedChild
	contributions []contribution
}

// ReadRecords reads the records of all definitions of an installation. It returns false where the
// ConfigMap does not exist.
func ReadRecords(ctx context.Context, client corev1client.ConfigMapInterface, name string) (map[string]Record, bool, error) {
	found, err := client.Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("reading what the definitions own: %w", err)
	}
	all := map[string]Record{}
	for id := range found.Data {
		record, ok := recordIn(found, id)
		if !ok {
			return nil, true, fmt.Errorf("reading what the definitions own: ConfigMap %s is damaged at key %q", name, id)
		}
		all[id] = record
	}
	return all, true, nil
}

// Run looks at all children, and after that at their parents: none of them has come in between. The
// error is that of an API server that does not answer; what it refuses is in Unseen.
func (s *OrphanSearch) Run(ctx context.Context) (*Orphans, error) {
	all := &Orphans{judge: &orphanJudge{installation: s.Installation, claims: s.Claims, records: s.Records}}
	marked := labels.Set{InstallationLabel: s.Installation}.String()
	for _, k := range s.childKinds() {
		seen, err := s.list(ctx, *k, marked, all)
		if err != nil {
			return nil, err
		}
		for _, objects := range seen {
			for _, object := range objects {
				all.children = append(all.children, observe(object, true))
			}
		}
	}
	all.Children = len(all.children)
	if err := s.findContributions(ctx, all); err != nil {
		return nil, err
	}
	if err := s.findParents(ctx, all); err != nil {
		return nil, err
	}
	for _, child := range all.children {
		if orphan, ok := all.judge.judge(child); ok {
			all.Found = append(all.Found, orphan)
		}
	}
	for _, c := range all.contributions {
		if orphan, ok := all.judge.judgePatch(c); ok {
			all.Found = append(all.Found, orphan)
		}
	}
	slices.SortFunc(all.Found, func(a, b Orphan) int {
		return cmp.Or(
			strings.Compare(a.Kind, b.Kind), strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name),
			strings.Compare(a.Manager, b.Manager),
		)
	})
	return all, nil
}

// kindToList is a kind with the versions in which it may be served, and the namespaces in which
// there is something of it to look for if not all can be listed.
type kindToList struct {
	kind       schema.GroupKind
	versions   []string
	namespaces []string
}

// kindsToList are kinds without duplicates, in the order in which they were added.
type kindsToList []*kindToList

func (l *kindsToList) add(kind schema.GroupVersionKind, namespaces ...string) {
	i := slices.IndexFunc(*l, func(k *kindToList) bool { return k.kind == kind.GroupKind() })
	if i < 0 {
		i = len(*l)
		*l = append(*l, &kindToList{kind: kind.GroupKind()})
	}
	k := (*l)[i]
	if !slices.Contains(k.versions, kind.Version) {
		k.versions = append(k.versions, kind.Version)
	}
	for _, namespace := range namespaces {
		if namespace != "" && !slices.Contains(k.namespaces, namespace) {
			k.namespaces = append(k.namespaces, namespace)
		}
	}
}

// childKinds are the kinds of which there may be children: those that are owned, and those that the
// records have.
func (s *OrphanSearch) childKinds() kindsToList {
	var all kindsToList
	add := func(owns []OwnedRecord) {
		for _, o := range owns {
			all.add(schema.FromAPIVersionAndKind(o.APIVersion, o.Kind), o.Namespaces...)
		}
	}
	for _, claim := range s.Claims {
		add(claim.Owns)
	}
	for _, id := range slices.Sorted(maps.Keys(s.Records)) {
		record := s.Records[id]
		add(record.Owns)
		for _, left := range record.Left {
			add(left.Owns)
		}
	}
	slices.SortStableFunc(all, func(a, b *kindToList) int { return strings.Compare(a.kind.String(), b.kind.String()) })
	return all
}

// findParents looks at the objects that the children were made for.
func (s *OrphanSearch) findParents(ctx context.Context, all *Orphans) error {
	judge := all.judge
	judge.parents = newParents()
	var wanted kindsToList
	for _, child := range all.children {
		if child.marks.parentUID == "" {
			continue
		}
		for _, kind := range judge.parentKinds(child) {
			wanted.add(kind, judge.parentOf(child).Namespace)
		}
	}
	for _, c := range all.contributions {
		for _, kind := range judge.kindsHandled(c.definition, c.changed) {
			wanted.add(kind, c.id.Namespace)
		}
	}
	for _, claim := range s.Claims {
		for _, k := range wanted {
			if k.kind == claim.Parent.GroupKind() {
				wanted.add(claim.Parent) // In this version it is served.
			}
		}
	}
	for _, k := range wanted {
		seen, err := s.list(ctx, *k, "", all)
		if err != nil {
			return err
		}
		for namespace, objects := range seen {
			judge.parents.add(k.kind, namespace, objects)
		}
	}
	return nil
}

// list lists a kind in all of the cluster, or where that is forbidden in those of its namespaces in
// which it is not. It returns the objects by the namespace that was listed, "" for all.
func (s *OrphanSearch) list(ctx context.Context, k kindToList, selector string, all *Orphans) (map[string][]handlers.Object, error) {
	seen := map[string][]handlers.Object{}
	err := all.visit(k, func(q query) error {
		q.selector = selector
		objects, _, err := s.Client.list(ctx, q)
		if err == nil {
			seen[q.namespace] = objects
		}
		return err
	})
	return seen, err
}

// visit calls list for all of the cluster, or where that is forbidden for those of the namespaces
// of a kind for which it is not. What cannot be listed is noted.
func (all *Orphans) visit(k kindToList, list func(query) error) error {
	var refusal error
	for _, version := range k.versions {
		q := query{kind: k.kind.WithVersion(version)}
		err := list(q)
		switch {
		case err == nil:
			return nil
		case apierrors.IsForbidden(err) && !kinds.IsOutOfService(err):
			return all.visitNamespaces(k, q, err, list)
		case !isRefusal(err):
			return err
		case refusal == nil || !kinds.IsNotServed(err):
			refusal = err
		}
	}
	all.unseen(k, refusal, nil)
	return nil
}

// visitNamespaces is visit in single namespaces. refusal is why not in all of the cluster.
func (all *Orphans) visitNamespaces(k kindToList, q query, refusal error, list func(query) error) error {
	var names []string
	for _, q.namespace = range k.namespaces {
		err := list(q)
		if err != nil && !isRefusal(err) {
			return err
		}
		if err == nil {
			names = append(names, q.namespace)
		}
	}
	all.unseen(k, refusal, names)
	return nil
}

// unseen notes what could not be looked at, but for some namespaces.
func (all *Orphans) unseen(k kindToList, refusal error, but []string) {
	text := fmt.Sprintf("%s cannot be looked at: %v", k.kind, refusal)
	if len(but) > 0 {
		slices.Sort(but)
		text = fmt.Sprintf("%s cannot be looked at but in %s: %v", k.kind, strings.Join(but, ", "), refusal)
	}
	if !slices.Contains(all.Unseen, text) {
		all.Unseen = append(all.Unseen, text)
	}
}

// isRefusal reports whether an error is about one kind alone: it is not served, forbidden, or
// cannot be listed.
func isRefusal(err error) bool {
	return kinds.IsNotServed(err) || kinds.IsOutOfService(err) || apierrors.IsForbidden(err) || apierrors.IsNotFound(err) ||
		apierrors.IsMethodNotSupported(err)
}
