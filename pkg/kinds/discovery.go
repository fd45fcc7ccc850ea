package kinds

import (
	"context"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/singleflight"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/cache"
	"k8s.io/client-go/rest"
)

const (
	// RequestTimeout bounds one request that asks an API server what it serves or grants. A caller
	// waits a second longer at most, for a client that does not obey its context.
	RequestTimeout = 5 * time.Second

	// PollInterval is how often to ask for a kind that is not served. Reading one group's discovery
	// document is allowed to every authenticated identity and costs the server about as much as a
	// health check. Watching CustomResourceDefinitions would need a right that a definition in one
	// namespace does not have.
	PollInterval = 500 * time.Millisecond

	// answerAge is how long an answer is good for. Together with PollInterval it bounds how late a
	// new kind is noticed, which has to be less than a second.
	answerAge = 250 * time.Millisecond

	// groupAge is the same for the versions of a group, which only rules are looked up by.
	groupAge = 2 * time.Second

	// maxAnswers bounds the answers that are kept. A cluster with many operators has some hundred
	// group versions.
	maxAnswers = 1024
)

// ErrHung means that client-go has not returned although its context has ended.
var ErrHung = fmt.Errorf("%w; a credential plugin of the kubeconfig may hang", context.DeadlineExceeded)

// Client is the part of client-go's DiscoveryClient that a Discovery uses.
type Client interface {
	// ServerResourcesForGroupVersionWithContext reads the document of one version of a group.
	ServerResourcesForGroupVersionWithContext(ctx context.Context, groupVersion string) (*metav1.APIResourceList, error)
	// RESTClient reads the document of a group.
	RESTClient() rest.Interface
}

// Discovery is a Finder that asks an API server. Concurrent questions about one group and version
// share one request, so the number of requests does not grow with the number of definitions. It is
// safe for concurrent use.
//
// A request runs on its own goroutine, so the context of a caller bounds its wait even where
// client-go does not obey one, as in a credential plugin that hangs.
type Discovery struct {
	client  Client
	answers *cache.LRUExpireCache // *answer by group version, or by group
	asking  singleflight.Group

	closed context.Context //nolint:containedctx // ends the requests under way, which belong to no single caller
	close  context.CancelFunc
}

// answer is what the API server has said.
type answer struct {
	list   *metav1.APIResourceList
	group  *metav1.APIGroup
	groups *metav1.APIGroupList
	err    error
}

// NewDiscovery returns a Discovery that asks by client. It contacts nothing.
func NewDiscovery(client Client) *Discovery {
	d := &Discovery{client: client, answers: cache.NewLRUExpireCache(maxAnswers)}
	d.closed, d.close = context.WithCancel(context.Background()) //nolint:forbidigo // it ends with Close
	return d
}

// Close ends the requests under way, without waiting for those that ignore it. Nothing can be asked
// afterwards.
func (d *Discovery) Close() { d.close() }

// Kind implements Finder. The error is a *NotServedError, a *DiscoveryError, or the cause of the
// end of ctx.
func (d *Discovery) Kind(ctx context.Context, kind schema.GroupVersionKind) (Resource, error) {
	list, err := d.version(ctx, kind.GroupVersion())
	if err != nil && !apierrors.IsNotFound(err) {
		return Resource{}, err
	}
	for _, r := range resourcesOf(list) {
		if r.Kind == kind.Kind {
			return r, nil
		}
	}
	return Resource{}, &NotServedError{What: describeKind(kind)}
}

// Resource implements Finder, with errors as those of Kind. A version of the group that is out of
// service is passed over if another one has the resource.
func (d *Discovery) Resource(ctx context.Context, resource schema.GroupResource) (Resource, error) {
	versions, err := d.versions(ctx, resource.Group)
	if err != nil {
		return Resource{}, err
	}
	var group, found []Resource
	var failed error
	for _, gv := range versions {
		list, err := d.version(ctx, gv)
		if ctx.Err() != nil {
			return Resource{}, context.Cause(ctx)
		}
		if err != nil && !apierrors.IsNotFound(err) {
			failed = err
		}
		for _, r := range resourcesOf(list) {
			group = append(group, r)
			if r.Name == resource.Resource {
				found = append(found, r)
			}
		}
	}
	switch {
	case len(found) > 0:
		return inAllVersions(found), nil
	case failed != nil:
		return Resource{}, failed
	}
	return Resource{}, &NotServedError{What: describeResource(resource), Hint: resourceHint(resource, group)}
}

// resourcesOf reads a discovery document, in which subresources stand beside the resources. nil has
// none.
func resourcesOf(list *metav1.APIResourceList) []Resource {
	if list == nil {
		return nil
	}
	gv, err := schema.ParseGroupVersion(list.GroupVersion)
	if err != nil {
		return nil
	}
	var found []Resource
	subresources := map[string]map[string][]string{}
	for _, r := range list.APIResources {
		name, subresource, isSub := strings.Cut(r.Name, "/")
		if subresources[name] == nil {
			subresources[name] = map[string][]string{}
		}
		if isSub {
			subresources[name][subresource] = r.Verbs
			continue
		}
		found = append(found, Resource{
			Group: gv.Group, Version: gv.Version, Name: r.Name, Kind: r.Kind, Singular: r.SingularName, ShortNames: r.ShortNames,
			Namespaced: r.Namespaced, Verbs: r.Verbs, Subresources: subresources[name],
		})
	}
	return found
}

// versions returns the versions of a group, the preferred one first; none if the group is not
// served.
func (d *Discovery) versions(ctx context.Context, group string) ([]schema.GroupVersion, error) {
	if group == "" {
		return []schema.GroupVersion{{Version: "v1"}}, nil
	}
	a, err := d.ask(ctx, "group "+group, groupAge, func(ctx context.Context) *answer {
		document := new(metav1.APIGroup)
		err := d.client.RESTClient().Get().AbsPath("/apis", group).Do(ctx).Into(document)
		return &answer{group: document, err: err}
	})
	switch {
	case err != nil:
		return nil, err
	case apierrors.IsNotFound(a.err):
		return nil, nil
	case a.err != nil:
		return nil, &DiscoveryError{Of: group, Err: a.err}
	}
	return inPreference(*a.group), nil
}

// version returns what the API server serves of a group version. The error is that of "not found"
// as it came, or a *DiscoveryError, or the cause of the end of ctx.
func (d *Discovery) version(ctx context.Context, gv schema.GroupVersion) (*metav1.APIResourceList, error) {
	a, err := d.ask(ctx, gv.String(), answerAge, func(ctx context.Context) *answer {
		list, err := d.client.ServerResourcesForGroupVersionWithContext(ctx, gv.String())
		return &answer{list: list, err: err}
	})
	switch {
	case err != nil:
		return nil, err
	case a.err != nil && !apierrors.IsNotFound(a.err):
		return nil, &DiscoveryError{Of: gv.String(), Err: a.err}
	}
	return a.list, a.err
}

// ask returns the answer to a question, from memory or from the request under way if there is one.
// The error is the cause of the end of ctx.
func (d *Discovery) ask(ctx context.Context, question string, age time.Duration, request func(context.Context) *answer) (*answer, error) {
	if known, ok := d.known(question); ok {
		return known, nil
	}
	result := d.asking.DoChan(question, func() (any, error) {
		if known, ok := d.known(question); ok {
			return known, nil // came since
		}
		limited, cancel := context.WithTimeout(d.closed, RequestTimeout)
		defer cancel()
		a := request(limited)
		d.answers.Add(question, a, age)
		return a, nil
	})
	patience := time.NewTimer(RequestTimeout + time.Second)
	defer patience.Stop()
	select {
	case r := <-result:
		a, _ := r.Val.(*answer)
		return a, nil
	case <-patience.C:
		return &answer{err: ErrHung}, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (d *Discovery) known(question string) (*answer, bool) {
	value, _ := d.answers.Get(question)
	a, ok := value.(*answer)
	return a, ok
}
