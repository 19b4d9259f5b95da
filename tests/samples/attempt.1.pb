
dlv_01JSAMPLEwh_1acme"master*e10:Entry.publish@J¥×…ØRhttp_5xxZthe endpoint answered 503bM
POST!https://build.example.com/hooks/1 
content-typeapplication/json `j+÷ 
content-typeapplication/jsonbusyr„°	à ¨F(ŒGz198.51.100.7:443‚retryŠÃ×…Ø’sender-1˜¢1.1ø