package webhook

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"syscall"
)

// errLinkLocal is the reason why an address is not connected to.
var errLinkLocal = errors.New("it is an address of the link, or of a cloud's metadata service: " +
	"allowLinkLocal allows it")

// metadataServices are addresses of metadata services that are not those of the link. They give
// credentials of the machine to all who ask.
var metadataServices = []netip.Addr{
	netip.MustParseAddr("fd00:ec2::254"),   // AWS
	netip.MustParseAddr("fd20:ce::254"),    // Google Cloud
	netip.MustParseAddr("100.100.100.200"), // Alibaba Cloud
	netip.MustParseAddr("168.63.129.16"),   // Azure
}

// translated is the prefix of IPv4 addresses as a network with IPv6 alone reaches them.
var translated = netip.MustParsePrefix("64:ff9b::/96")

// locallyTranslated is the same for a network's own use, and sixToFour the prefix of 6to4.
var (
	locallyTranslated = netip.MustParsePrefix("64:ff9b:1::/48")
	sixToFour         = netip.MustParsePrefix("2002::/16")
)

// isLinkLocal reports whether an address is one of the link, or of a metadata service.
func isLinkLocal(address netip.Addr) bool {
	address = address.WithZone("").Unmap()
	b := address.As16()
	switch {
	case translated.Contains(address):
		address = netip.AddrFrom4([4]byte(b[12:]))
	case sixToFour.Contains(address):
		address = netip.AddrFrom4([4]byte(b[2:6]))
	case locallyTranslated.Contains(address): // RFC 6052 has two places for the other address.
		return isLinkLocal(netip.AddrFrom4([4]byte(b[12:]))) || isLinkLocal(netip.AddrFrom4([4]byte{b[6], b[7], b[9], b[10]}))
	}
	return address.IsLinkLocalUnicast() || address.IsLinkLocalMulticast() || slices.Contains(metadataServices, address)
}

// refuseLinkLocal is the Control of a net.Dialer: it sees every address before it is connected to,
// wherever the address comes from.
func refuseLinkLocal(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("reading address %q: %w", address, err)
	}
	if isLinkLocal(at.Addr()) {
		return fmt.Errorf("refusing %s: %w", at.Addr(), errLinkLocal)
	}
	return nil
}
