
	exhaustedevery retry was used up¤Þ…Ø"acme*wh_12æ
dlv_01JSAMPLEwh_1acme"master*e10:˜
e1acmemaster"Entry.publish*
homeEntryarticle *en-US2 ×…Ø:user-42B
	releaseIdr1J0{"sys":{"id":"home"},"big":12345678901234567890}xB ×…Ø€ÊµîHPZ ×…Ø€Êµîx:http_5xxJtidings.retry.default.3Px