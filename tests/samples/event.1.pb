
e1acmemaster"Entry.publish*
homeEntryarticle *en-US2 ×…Ø:user-42B
	releaseIdr1J0{"sys":{"id":"home"},"big":12345678901234567890}x