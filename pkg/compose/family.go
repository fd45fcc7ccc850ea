package compose

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/pkg/kinds"
)

// Member is an object with everything that was made for it.
type Member struct {
	ObjectRef
	// State is how it is doing, and Why it is not ready.
	State Health `json:"state"`
	Why   string `json:"why,omitempty"`
	MemberMarks
	// Finalizers are those of kooperd.
	Finalizers []string `json:"finalizers,omitempty"`
	// Paused reports whether it is to be left alone, see PausedAnnotation.
	Paused bool `json:"paused,omitempty"`
	// Ready is its condition of that name; nil if it has none.
	Ready *ReadyCondition `json:"ready,omitempty"`
	// Managers are the other field managers.
	Managers []OtherManager `json:"managers"`
	// Children are what was made for it, by kind, namespace and name.
	Children []*Member `json:"children"`
	// Patches are what it contributes to objects that are no children, by their kind, namespace and
	// name.
	Patches []*MemberPatch `json:"patches,omitempty"`
	// Cycle is true for an object that stands in the tree already. It is not followed.
	Cycle bool `json:"cycle,omitempty"`
	// Unfollowed is true when not all was asked for that was made for it: Children may lack some.
	Unfollowed bool `json:"unfollowed,omitempty"`
}

// MemberMarks is what the marks of an object say. It is empty for one that is no child.
type MemberMarks struct {
	// Child is its name within its parent, Definition and Installation are those that have made it,
	// and Parent is for which object.
	Child        string `json:"child,omitempty"`
	Definition   string `json:"definition,omitempty"`
	Installation string `json:"installation,omitempty"`
	Parent       string `json:"parent,omitempty"`
	// Proven reports whether the marks are provably kooperd's: they were not copied.
	Proven bool `json:"proven"`
}

// MemberPatch is what an object contributes to another one.
type MemberPatch struct {
	// ObjectRef is the object that is patched.
	ObjectRef
	// State is how that is doing, and Why it is not ready.
	State Health `json:"state"`
	Why   string `json:"why,omitempty"`
	// Definition and Installation are those for which it is contributed. Installation is empty
	// where somebody has taken off the label that says it.
	Definition   string `json:"definition"`
	Installation string `json:"installation,omitempty"`
	// Fields are what is contributed.
	Fields []string `json:"fields"`
	// Managers are the other field managers of the object, those of other patches among them.
	Managers []OtherManager `json:"managers"`
}

// ReadyCondition is the condition Ready.
type ReadyCondition struct {
	Status  string `json:"status"`
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
}

// memberOf describes an object.
func memberOf(o observedChild) (*Member, error) {
	tree, err := o.Tree()
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", o.ID, err)
	}
	meta, judge := o.object.Metadata(), &planner{Input: Input{Parent: Parent{UID: o.marks.parentUID}}}
	m := &Member{
		ObjectRef: refOf(o), Paused: isPaused(meta),
		MemberMarks: MemberMarks{
			Child: o.marks.child, Definition: o.marks.definition, Installation: o.marks.installation, Parent: o.marks.parent,
			Proven: o.marks.parentUID != "" && judge.proven(o.Observed),
		},
		Managers: otherManagers(o.Managers), Children: []*Member{},
	}
	m.State, m.Why = healthOf(o.ID.Kind, tree)
	for _, name := range meta.Finalizers {
		if host, _, _ := strings.Cut(name, "/"); strings.HasSuffix(host, "."+finalizerDomain) {
			m.Finalizers = append(m.Finalizers, name)
		}
	}
	for _, c := range conditions(tree) {
		if c["type"] == conditionReady {
			m.Ready = &ReadyCondition{}
			m.Ready.Status, _ = c["status"].(string)
			m.Ready.Reason, _ = c["reason"].(string)
			m.Ready.Message, _ = c["message"].(string)
		}
	}
	return m, nil
}

func refOf(o observedChild) ObjectRef {
	apiVersion, kind := o.kind.ToAPIVersionAndKind()
	return ObjectRef{APIVersion: apiVersion, Kind: kind, Namespace: o.ID.Namespace, Name: o.ID.Name, UID: o.UID}
}

// Family looks for everything that was made for an object, of whatever installation. It reads
// Secrets without what is in them, and changes nothing.
type Family struct {
	client *Client
	// unlisted says why a resource cannot be listed, and within those in which namespace alone.
	unlisted map[schema.GroupResource]error
	within   map[schema.GroupResource]string
	from     []kinds.Resource
	home     string // namespace of the object
}

// NewFamily returns one that looks among these resources.
func NewFamily(client *Client, resources []kinds.Resource) *Family {
	f := &Family{client: client, unlisted: map[schema.GroupResource]error{}, within: map[schema.GroupResource]string{}}
	for _, r := range resources {
		if r.Has("list") {
			f.from = append(f.from, r)
		}
	}
	return f
}

// Read returns an object with all that was made for it, level by level: what was made for its
// children, too. An object is followed once, and not all of very many are: see Member.Unfollowed.
// With an error it returns what was read until then, or nil if that is not even the object.
func (f *Family) Read(ctx context.Context, resource kinds.Resource, namespace, name string) (*Member, error) {
	root, err := f.readRoot(ctx, resource, namespace, name)
	if err != nil {
		return nil, err
	}
	seen := map[types.UID]*Member{root.UID: root}
	left := followLimit
	for depth, level := 0, []*Member{root}; len(level) > 0; depth++ {
		if depth == depthLimit {
			left = 0
		}
		level = follow(level, left)
		left -= len(level)
		next, err := f.addChildren(ctx, level, seen)
		if err != nil {
			follow(slices.Concat(level, next), 0)
			return root, err
		}
		level = next
	}
	return root, f.addPatches(ctx, seen)
}

func (f *Family) readRoot(ctx context.Context, resource kinds.Resource, namespace, name string) (*Member, error) {
	f.home = namespace
	t := target{kind: kindOf(resource), namespace: namespace, name: name, json: true}
	t.metadataOnly = t.kind.GroupKind() == ofSecrets
	body, err := f.client.getManaged(ctx, t)
	if err != nil {
		return nil, err
	}
	o, err := observeLive(body, t)
	if err != nil {
		return nil, err
	}
	return memberOf(o)
}

// follow returns as many members as are to be followed, and notes that the others are not. Members
// of kinds of which there are few come first: an object with thousands of children of a kind has
// leaves there, as a rule.
func follow(level []*Member, most int) []*Member {
	if len(level) <= most {
		return level
	}
	few := map[schema.GroupKind]int{}
	for _, m := range level {
		few[m.groupKind()]++
	}
	level = slices.Clone(level)
	slices.SortStableFunc(level, func(a, b *Member) int { return few[a.groupKind()] - few[b.groupKind()] })
	for _, m := range level[most:] {
		m.Unfollowed = true
	}
	return level[:most]
}

// addChildren adds the children of all objects of one level, and returns those that are new. With
// an error it has added those that were found until then.
func (f *Family) addChildren(ctx context.Context, level []*Member, seen map[types.UID]*Member) (next []*Member, failure error) {
	parents := map[types.UID]*Member{}
	for _, parent := range level {
		parents[parent.UID] = parent
	}
	found, failure := f.list(ctx, level)
	for _, o := range found {
		parent := parents[o.marks.parentUID]
		if o.UID == "" || parent == nil || slices.ContainsFunc(parent.Children, func(m *Member) bool { return m.UID == o.UID }) {
			continue // Some objects are served in two groups.
		}
		child, err := memberOf(o)
		if err != nil {
			return next, err
		}
		parent.Children = append(parent.Children, child)
		if child.Cycle = seen[child.UID] != nil; !child.Cycle {
			seen[child.UID] = child
			next = append(next, child)
		}
	}
	for _, parent := range level {
		slices.SortFunc(parent.Children, func(a, b *Member) int {
			return cmp.Or(strings.Compare(a.Kind, b.Kind), strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
		})
	}
	return next, failure
}
