package election

import (
	"crypto/rand"
	"fmt"
	"os"
)

// Identity returns the holderIdentity of this process. In a pod it is "<podName>_<podUID>", from
// the downward API's metadata.name and metadata.uid: a restarted container then recognises its
// Lease and leads at once. Without both it is "<hostname>_<random>", which is new on every start.
//
// An identity of the first kind must belong to one running process at a time. Two containers of
// one pod must not compete for one Lease.
func Identity(podName, podUID string) (string, error) {
	if podName != "" && podUID != "" {
		return podName + "_" + podUID, nil
	}
	host, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("reading the host name for the lease identity: %w", err)
	}
	return host + "_" + rand.Text(), nil
}
