package kube

import (
	"context"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/restmapper"

	"kooperd.dev/kooperd/pkg/kinds"
)

// newMapper returns a mapper that reads at its first use what the API server serves, and again when
// it is asked for something that is not there. client reads for it.
func newMapper(client discovery.DiscoveryInterfaceWithContext) meta.RESTMapper {
	return restmapper.NewDeferredDiscoveryRESTMapperWithContext(&agingDiscovery{
		CachedDiscoveryInterfaceWithContext: memory.NewMemCacheClientWithContext(client),
	})
}

// agingDiscovery remembers what the API server serves. client-go's memory counts as fresh for ever
// once it has been filled, and its mapper asks again only what is not fresh: a kind that is
// installed later would never be found.
type agingDiscovery struct {
	discovery.CachedDiscoveryInterfaceWithContext

	mu   sync.Mutex
	read time.Time
}

// ServerGroupsAndResourcesWithContext is what the mapper reads everything by.
func (d *agingDiscovery) ServerGroupsAndResourcesWithContext(ctx context.Context) ([]*metav1.APIGroup, []*metav1.APIResourceList, error) {
	groups, resources, err := d.CachedDiscoveryInterfaceWithContext.ServerGroupsAndResourcesWithContext(ctx)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.read = time.Now()
	return groups, resources, err
}

// FreshWithContext reports whether it is of no use to ask again what was not there.
func (d *agingDiscovery) FreshWithContext(context.Context) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return time.Since(d.read) < kinds.PollInterval
}
